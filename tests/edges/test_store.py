"""The store: an artifact is there whole or not at all, and is checked when it is read."""

import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from quantbench import history, store
from quantbench.cache import contents
from quantbench.core.errors import UsageError
from quantbench.core.estimate import Past


def test_an_artifact_is_built_once_and_then_found(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> store.Facts:
        calls.append(folder)
        (folder / "model.onnx").write_text("weights")
        return {"opset": 17}

    key = store.artifact_key("export", 1, {"model": "abc"})
    first = store.make(tmp_path, key, "export", build)
    second = store.make(tmp_path, key, "export", build)
    assert len(calls) == 1
    assert first == second
    assert second.facts == {"opset": 17}
    assert (second.path / "model.onnx").read_text() == "weights"


def test_the_key_covers_stage_version_and_all_that_is_read() -> None:
    keys = {
        store.artifact_key("export", 1, {"opset": 11}),
        store.artifact_key("export", 2, {"opset": 11}),
        store.artifact_key("export", 1, {"opset": 12}),
        store.artifact_key("quantize", 1, {"opset": 11}),
    }
    assert len(keys) == 4


def test_the_key_does_not_depend_on_the_order_of_what_is_read() -> None:
    assert store.artifact_key("s", 1, {"a": 1, "b": 2}) == store.artifact_key(
        "s", 1, {"b": 2, "a": 1}
    )


def test_nothing_is_left_of_an_artifact_whose_making_failed(tmp_path: Path) -> None:
    def build(folder: Path) -> store.Facts:
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.make(tmp_path, "ab" * 16, "export", build)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.find(tmp_path, "ab" * 16) is None


def test_a_damaged_artifact_is_not_found_but_made_again(tmp_path: Path) -> None:
    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("good")
        return {}

    key = "cd" * 16
    (store.make(tmp_path, key, "export", build).path / "model.onnx").write_text("bad")
    assert store.find(tmp_path, key) is None
    assert (store.make(tmp_path, key, "export", build).path / "model.onnx").read_text() == "good"


def test_of_two_processes_one_makes_it_and_the_other_waits_for_it(tmp_path: Path) -> None:
    """The second one begins while the first one is making it."""
    key, made, waited = "ef" * 16, list[str](), threading.Event()

    def second() -> None:
        def build(folder: Path) -> store.Facts:
            made.append("second")
            return {}

        store.make(tmp_path, key, "export", build, waiting=waited.set)

    other = threading.Thread(target=second)

    def first(folder: Path) -> store.Facts:
        other.start()
        assert waited.wait(30)
        made.append("first")
        (folder / "model.onnx").write_text("one")
        return {}

    stored = store.make(tmp_path, key, "export", first)
    other.join()
    assert made == ["first"]
    assert (stored.path / "model.onnx").read_text() == "one"


def test_what_another_process_gave_up_is_made_by_the_one_that_waited(tmp_path: Path) -> None:
    key, waited = "ef" * 16, threading.Event()
    found: list[store.Stored] = []

    def second() -> None:
        found.append(store.make(tmp_path, key, "export", lambda _: {"n": 2}, waiting=waited.set))

    other = threading.Thread(target=second)

    def first(folder: Path) -> store.Facts:
        other.start()
        assert waited.wait(30)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        store.make(tmp_path, key, "export", first)
    other.join()
    assert found[0].facts == {"n": 2}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_file_is_replaced_whole_and_readable_as_the_umask_says(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text("old")
    store.write_atomically(file, "new")
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    other = tmp_path / "other"
    other.write_text("")
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_the_store_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTBENCH_STORE", "/somewhere")
    assert store.default_store() == Path("/somewhere")
    monkeypatch.delenv("QUANTBENCH_STORE")
    assert store.default_store() == Path.home() / ".cache" / "quantbench"


def test_a_store_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="QUANTBENCH_STORE"):
        store.open_store(tmp_path / "file")
    store.open_store(tmp_path / "new")


def test_an_artifact_with_damaged_facts_is_made_again(tmp_path: Path) -> None:
    key = "ab" * 16
    (store.make(tmp_path, key, "export", lambda _: {"n": 1}).path / "facts.json").write_text("{")
    assert store.find(tmp_path, key) is None
    assert store.make(tmp_path, key, "export", lambda _: {"n": 2}).facts == {"n": 2}


def test_what_a_killed_process_left_is_removed_and_what_is_being_made_is_not(
    tmp_path: Path,
) -> None:
    store.open_store(tmp_path)
    left = tmp_path / "tmp" / ("cd" * 16)
    left.mkdir()
    (left / "half").write_text("half")

    def build(folder: Path) -> store.Facts:
        store.open_store(tmp_path)  # another run begins
        assert folder.is_dir()
        return {}

    store.make(tmp_path, "ab" * 16, "export", build)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_is_half_made_is_begun_anew(tmp_path: Path) -> None:
    key = "ab" * 16
    left = tmp_path / "tmp" / key
    left.mkdir(parents=True)
    (left / "half").write_text("half")
    stored = store.make(tmp_path, key, "export", lambda _: {})
    assert sorted(path.name for path in stored.path.iterdir()) == ["facts.json"]


def test_recalling_looks_at_files_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "ab" * 16

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("weights")
        return {"opset": 17}

    store.make(tmp_path, key, "export", build)
    with monkeypatch.context() as patch:
        patch.setattr(store, "file_sha256", lambda _: pytest.fail("the file was read"))
        assert store.recall(tmp_path, key) == {"opset": 17}
    (store.artifact_folder(tmp_path, key) / "model.onnx").write_text("changed")
    assert store.recall(tmp_path, key) is None


def test_a_copied_store_is_as_good_though_time_stamps_differ(tmp_path: Path) -> None:
    key = "ab" * 16

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("weights")
        return {}

    stored = store.make(tmp_path, key, "export", build)
    os.utime(stored.path / "model.onnx", (0, 0))
    assert store.recall(tmp_path, key) == {}


def test_remaking_replaces_what_was_there_when_the_new_one_is_whole(tmp_path: Path) -> None:
    key = "ab" * 16
    store.make(tmp_path, key, "export", lambda _: {"n": 1})

    def fails(_: Path) -> store.Facts:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.remake(tmp_path, key, "export", fails)
    assert store.recall(tmp_path, key) == {"n": 1}
    assert store.remake(tmp_path, key, "export", lambda _: {"n": 2}).facts == {"n": 2}


@pytest.mark.parametrize("file", ["facts.json", "model.onnx"])
def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path, file: str) -> None:
    """A hundred places in the file and in what is known of it, then cut off at a hundred."""
    key = "ab" * 16
    content = bytes(range(256)) * 4

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_bytes(content)
        return {"opset": 17, "nodes": {"MatMul": [1, 2.5, None, True, "text"]}}

    good = store.make(tmp_path, key, "export", build).path / file
    written = good.read_bytes()
    rng = random.Random(0)
    for _ in range(100):
        place, bit = rng.randrange(len(written)), rng.randrange(8)
        damaged = bytearray(written)
        damaged[place] ^= 1 << bit
        for spoilt in (bytes(damaged), written[:place]):
            path = store.make(tmp_path, key, "export", build).path / file
            path.write_bytes(spoilt)
            assert store.find(tmp_path, key) is None, (place, bit)
    assert store.make(tmp_path, key, "export", build).facts["opset"] == 17


def test_a_scratch_folder_is_gone_when_it_was_used(tmp_path: Path) -> None:
    with store.scratch(tmp_path) as folder:
        (folder / "inputs.npz").write_text("x")
        store.open_store(tmp_path)
        assert folder.is_dir()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_small_file_of_the_store_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    store.write_beside(tmp_path, "runs", "one.json", "old")
    store.write_beside(tmp_path, "runs", "one.json", "new")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["one.json"]
    assert (tmp_path / "runs" / "one.json").read_text() == "new"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_looking_at_a_damaged_artifact_removes_nothing(tmp_path: Path) -> None:
    """Another process may be putting a new one in its place at this moment."""
    key = "ab" * 16

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("good")
        return {}

    path = store.make(tmp_path, key, "export", build).path / "model.onnx"
    path.write_text("bad!")
    assert store.find(tmp_path, key) is None
    assert store.recall(tmp_path, key) is None
    assert path.read_text() == "bad!"
    assert (store.make(tmp_path, key, "export", build).path / "model.onnx").read_text() == "good"


@pytest.mark.parametrize("name", ["facts.json", "model.onnx"])
@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir])
def test_a_pipe_or_folder_in_place_of_a_file_is_not_waited_for_but_made_again(
    tmp_path: Path, name: str, put: Callable[[Path], None]
) -> None:
    key = "ab" * 16

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("good")
        return {}

    path = store.make(tmp_path, key, "export", build).path / name
    path.unlink()
    put(path)
    assert store.find(tmp_path, key) is None
    assert store.recall(tmp_path, key) is None
    assert contents.find_damage(tmp_path, key) is not None
    assert (store.make(tmp_path, key, "export", build).path / "model.onnx").read_text() == "good"


def test_a_pipe_in_place_of_the_history_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history.jsonl")
    assert history.read_history(tmp_path) == ()
    past = Past(
        machine="m", stage="export", kind="", amount=1.0, model="0", num_parameters=1,
        seconds=1.0, peak_rss_bytes=None,
    )  # fmt: skip
    with pytest.raises(OSError, match=r"history\.jsonl"):
        history.add_to_history(tmp_path, past)
