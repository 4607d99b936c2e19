"""A child process answers JSON lines, takes no time when paused, and never outlives its parent."""

import json
import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantbench.child import Child, ChildDiedError

MODULE = """
    import os, sys
    from quantbench.child import serve

    def handle(message, send):
        match message["do"]:
            case "echo":
                print("a library prints to stdout")
                return {"said": message["text"]}
            case "steps":
                for number in range(3):
                    send({"step": number})
                return {"done": True}
            case "die":
                print("the reason", file=sys.stderr)
                sys.stderr.flush()
                os._exit(7)
            case "touch":
                open(message["path"], "w").close()
                return {}
            case "pid":
                return {"pid": os.getpid()}

    if __name__ == "__main__":
        serve(handle)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    (tmp_path / "echo_child.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = Child("echo_child")
    yield started
    started.close()


def test_an_answer_comes_back_though_libraries_print_to_stdout(child: Child) -> None:
    assert child.ask({"do": "echo", "text": "ü"}) == {"said": "ü"}


def test_messages_may_come_ahead_of_the_answer(child: Child) -> None:
    child.send({"do": "steps"})
    assert [child.receive() for _ in range(4)] == [
        {"step": 0}, {"step": 1}, {"step": 2}, {"done": True},
    ]  # fmt: skip


def test_a_child_that_dies_is_an_error_with_the_end_of_its_log(child: Child) -> None:
    with pytest.raises(ChildDiedError, match="ended with 7") as caught:
        child.ask({"do": "die"})
    assert caught.value.log == "the reason"


def test_a_paused_child_is_stopped_and_goes_on_when_resumed(child: Child) -> None:
    pid = child.ask({"do": "pid"})["pid"]
    child.pause()
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # returns once it is stopped
    child.resume()
    assert child.ask({"do": "echo", "text": "awake"}) == {"said": "awake"}


def test_closing_ends_a_paused_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "echo_child.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = Child("echo_child")
    pid = started.ask({"do": "pid"})["pid"]
    started.pause()
    started.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only")
def test_a_paused_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "echo_child.py").write_text(textwrap.dedent(MODULE))
    parent = """
        import json, os, signal
        from quantbench.child import Child
        child = Child("echo_child")
        print(json.dumps(child.ask({"do": "pid"})), flush=True)
        child.pause()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(parent)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    try:
        handle = os.pidfd_open(json.loads(result.stdout)["pid"])
    except ProcessLookupError:
        return  # it is gone already
    try:
        assert select.select([handle], [], [], 30)[0], "it lives on"  # readable once it ended
    finally:
        os.close(handle)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only")
def test_a_child_whose_parent_ended_before_it_could_ask_for_its_end_ends(tmp_path: Path) -> None:
    """The parent is gone by the time that the child's imports are done."""
    child = """
        import os, time
        from quantbench.child import die_with_parent
        while os.getppid() == int(os.environ["QUANTBENCH_PARENT_PID"]):
            time.sleep(0.01)
        die_with_parent()
        print("it lives on", flush=True)
    """
    parent = """
        import subprocess, sys
        from quantbench.child import child_environment
        subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=child_environment({}))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(parent), textwrap.dedent(child)],
        capture_output=True,  # until the child has closed the pipe too
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
