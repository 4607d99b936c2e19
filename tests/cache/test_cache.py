"""`quantbench cache`: the store can be listed, checked and tidied up; runs keep what they name."""

import fcntl
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry, store
from quantbench.cache.contents import read_artifacts, take_away
from quantbench.cache.runs import read_runs, register_run
from quantbench.core.pruning import CachedArtifact, Limits, choose

DAY_S = 86400
DAY_NS = DAY_S * 10**9
NOW_NS = 100 * DAY_NS


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "store"
    monkeypatch.setenv("QUANTBENCH_STORE", str(root))
    store.open_store(root)
    return root


def put(root: Path, key: str, *, stage: str = "export", size: int = 1000, days: float = 0) -> Path:
    """An artifact that was made, and last used, so many days ago."""

    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_bytes(b"x" * size)
        return {}

    folder = store.make(root, key, stage, build).path
    then = time.time() - days * DAY_S
    os.utime(folder / "facts.json", (then, then))
    os.utime(folder, (then, then))
    return folder


def begin_run(root: Path, folder: Path, *keys: str) -> Path:
    """A registered run that names those keys."""
    folder.mkdir(parents=True)
    lines = [json.dumps({"stage": "export", "keys": [key]}) for key in keys]
    (folder / "spent.jsonl").write_text("".join(f"{line}\n" for line in lines))
    register_run(root, folder)
    return folder


def there(root: Path) -> set[str]:
    return {path.name[0] for path in (root / "artifacts").glob("*/*")}


def key(letter: str) -> str:
    return letter * 32


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert cli.main(["cache", *arguments]) == code
    return capsys.readouterr().out


def data(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output(capsys, *arguments, "--json", code=code))
    return found


def known(name: str, *, made: float = 0, used: float = 0, size: int = 1, runs: int = 0) -> Any:
    return CachedArtifact(
        key=name,
        stage="export",
        num_bytes=size,
        made_ns=NOW_NS - round(made * DAY_NS),
        used_ns=NOW_NS - round(used * DAY_NS),
        runs=("run",) * runs,
    )


def chosen(limits: Limits, *artifacts: CachedArtifact) -> tuple[str, str]:
    found = choose(artifacts, limits, NOW_NS)
    return "".join(a.key for a in found.gone), "".join(a.key for a in found.kept)


# Which artifacts go.


def test_what_was_made_long_ago_goes_however_lately_it_was_used() -> None:
    limits = Limits(older_than_s=30 * DAY_S)
    assert chosen(limits, known("a", made=31), known("b", made=29, used=29)) == ("a", "")


def test_what_was_not_used_for_long_goes() -> None:
    limits = Limits(unused_for_s=14 * DAY_S)
    assert chosen(limits, known("a", made=99, used=13), known("b", made=99, used=15)) == ("b", "")


def test_the_least_recently_used_go_until_the_rest_is_not_above_the_size() -> None:
    artifacts = [known("a", used=1, size=4), known("b", used=3, size=4), known("c", used=2, size=4)]
    assert chosen(Limits(max_bytes=8), *artifacts) == ("b", "")
    assert chosen(Limits(max_bytes=7), *artifacts) == ("bc", "")
    assert chosen(Limits(max_bytes=12), *artifacts) == ("", "")


def test_what_goes_for_its_age_counts_towards_the_size() -> None:
    old_but_used = known("a", made=40, used=0, size=4)
    limits = Limits(older_than_s=30 * DAY_S, max_bytes=4)
    assert chosen(limits, old_but_used, known("b", made=3, used=3, size=4)) == ("a", "")


def test_what_a_run_names_never_goes_and_is_told() -> None:
    named, other = known("a", made=40, used=40, size=4, runs=1), known("b", used=1, size=4)
    assert chosen(Limits(older_than_s=DAY_S), named, other) == ("", "a")
    assert chosen(Limits(max_bytes=4), named, other) == ("b", "a")


def test_without_limits_nothing_goes() -> None:
    assert chosen(Limits(), known("a", made=99, used=99)) == ("", "")


# Listing.


def test_the_store_is_listed_by_stage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, key("a"), size=3000)
    put(root, key("b"), size=5000)
    put(root, key("c"), stage="quantize")
    lines = [line.split("\t") for line in output(capsys).splitlines()]
    assert [line[:2] for line in lines] == [
        ["stage", "number"], ["export", "2"], ["quantize", "1"], ["total", "3"],
    ]  # fmt: skip
    assert output(capsys) == output(capsys, "list")
    stages = data(capsys)["stages"]
    assert [stage["number"] for stage in stages] == [2, 1]
    assert stages[0]["num_bytes"] > 8000


def test_with_all_each_artifact_has_a_line_with_the_runs_that_name_it(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"))
    put(root, key("b"))
    run = begin_run(root, tmp_path / "runs" / "one", key("b"))
    lines = output(capsys, "list", "--all").splitlines()
    assert lines[1].split("\t")[0] == key("a")
    assert lines[1].endswith("\t–")
    assert lines[2].endswith(f"\t{run}")
    runs = [item["runs"] for item in data(capsys, "--all")["artifacts"]]
    assert runs == [[], [str(run)]]


def test_names_of_folders_do_not_reach_the_terminal_as_commands(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), days=40)
    begin_run(root, tmp_path / "a\x1b]0;b\x07", key("a"))
    (folder,) = (root / "artifacts").glob("*/*")
    (folder / "model.onnx").write_bytes(b"y")
    text = output(capsys, "list", "--all") + output(capsys, "prune", "--older-than", "1d")
    text += output(capsys, "verify", code=1)
    assert "\x1b" not in text
    assert text.count(r"a\x1b]0;b\x07") == 3


def test_a_store_that_is_not_there_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "none"))
    assert "is empty" in output(capsys)
    assert data(capsys)["number"] == 0
    assert "0 artifacts checked" in output(capsys, "verify")
    assert "Removed 0 artifacts" in output(capsys, "prune", "--older-than", "1d")


def test_what_is_no_artifact_is_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("aa/notes", f"bb/{key('a')}"):
        (root / "artifacts" / name).mkdir(parents=True)
    assert "is empty" in output(capsys)
    assert "0 artifacts checked" in output(capsys, "verify")
    output(capsys, "prune", "--max-size", "0MB")
    assert len(list((root / "artifacts").glob("*/*"))) == 2


def test_looking_is_no_use(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, key("a"), days=20)
    for command in ([], ["list", "--all"], ["verify"], ["prune", "--max-size", "1GB"]):
        output(capsys, *command)
    assert "Removed 1 artifact," in output(capsys, "prune", "--unused-for", "19d")


def test_using_an_artifact_counts_as_use(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, key("a"), days=20)
    assert store.recall(root, key("a")) is not None
    assert "Removed 0 artifacts" in output(capsys, "prune", "--unused-for", "19d")
    assert "Removed 1 artifact," in output(capsys, "prune", "--older-than", "19d")


# Verifying.


@pytest.mark.parametrize(
    ("file", "problem"),
    [("model.onnx", "model.onnx is not what was written"), ("facts.json", "facts.json is damaged")],
)
def test_a_damaged_artifact_is_named_and_removed(
    root: Path, file: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"))
    (put(root, key("b")) / file).write_bytes(b"y" * 1000)
    text = output(capsys, "verify", code=1)
    assert key("b") in text
    assert problem in text
    assert "2 artifacts checked, 1 damaged" in text
    assert there(root) == {"a"}
    assert "1 artifact checked: every file is as it was written" in output(capsys, "verify")


def test_a_missing_file_is_damage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (put(root, key("a")) / "model.onnx").unlink()
    (found,) = data(capsys, "verify", code=1)["damaged"]
    assert found["problem"] == "model.onnx is missing"


def test_with_keep_damage_is_reported_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (put(root, key("a")) / "model.onnx").write_bytes(b"y")
    for _ in range(2):
        assert "1 damaged: kept" in output(capsys, "verify", "--keep", code=1)
    assert there(root) == {"a"}


# Pruning.


def test_what_is_old_goes_and_what_was_freed_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), days=31)
    put(root, key("b"), days=29)
    found = data(capsys, "prune", "--older-than", "30d")
    assert [item["key"] for item in found["removed"]] == [key("a")]
    assert found["freed_bytes"] > 1000
    assert there(root) == {"b"}
    assert list((root / "tmp").iterdir()) == []


def test_a_dry_run_says_the_same_and_removes_nothing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), days=31)
    begin_run(root, tmp_path / "gone").joinpath("spent.jsonl").unlink()
    (tmp_path / "gone").rmdir()
    assert "Would remove 1 artifact," in output(capsys, "prune", "--older-than", "30d", "--dry-run")
    assert there(root) == {"a"}
    assert len(list((root / "runs").iterdir())) == 1


def test_what_a_run_names_is_kept_until_its_folder_is_gone(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), days=40)
    put(root, key("b"), days=40)
    run = begin_run(root, tmp_path / "runs" / "one", key("a"))
    text = output(capsys, "prune", "--max-size", "0MB")
    assert there(root) == {"a"}
    assert "Kept 1 artifact" in text
    assert f"{run}: 1 artifact" in text
    assert "more than 0 B" in text
    (run / "spent.jsonl").unlink()
    run.rmdir()
    output(capsys, "prune", "--max-size", "0MB")
    assert there(root) == set()
    assert list((root / "runs").iterdir()) == []


def test_a_line_that_a_crash_cut_off_still_keeps_what_it_names(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), days=40)
    run = begin_run(root, tmp_path / "run")
    (run / "spent.jsonl").write_text(f'{{"stage":"export","keys":["{key("a")}"],"reu')
    output(capsys, "prune", "--older-than", "1d")
    assert there(root) == {"a"}


def test_nothing_is_removed_if_it_cannot_be_known_what_a_run_names(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), days=40)
    begin_run(root, tmp_path / "run")
    (registration,) = (root / "runs").iterdir()
    registration.write_text("{")
    assert cli.main(["cache", "prune", "--older-than", "1d"]) == 1
    assert str(registration) in capsys.readouterr().err
    assert there(root) == {"a"}


def test_a_run_that_is_under_way_keeps_what_was_made_since_it_began(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It notes what it needs a moment after it was made."""
    put(root, key("a"), days=1)
    run = begin_run(root, tmp_path / "run")
    put(root, key("b"))
    handle = os.open(run, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    output(capsys, "prune", "--max-size", "0MB")
    assert there(root) == {"b"}
    os.close(handle)
    output(capsys, "prune", "--max-size", "0MB")
    assert there(root) == set()


def test_what_is_being_made_is_not_touched(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("half")
        output(capsys, "prune", "--max-size", "0MB")
        assert (folder / "model.onnx").read_text() == "half"
        return {}

    store.make(root, key("a"), "export", build)
    assert there(root) == {"a"}


def test_what_was_used_since_it_was_looked_at_is_not_taken_away(root: Path) -> None:
    put(root, key("a"), days=40)
    (artifact,) = read_artifacts(root, ())
    assert store.recall(root, key("a")) is not None
    assert not take_away(root, artifact)
    assert there(root) == {"a"}


def test_an_artifact_is_gone_from_its_place_before_any_file_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(root, key("a"))
    (artifact,) = read_artifacts(root, ())
    seen: list[tuple[bool, list[str]]] = []
    remove = store.shutil.rmtree

    def watch(path: Path, *args: Any, **kwargs: Any) -> None:
        files = sorted(file.name for file in Path(path).rglob("*") if file.is_file())
        seen.append((folder.exists(), files))
        remove(path, *args, **kwargs)

    monkeypatch.setattr(store.shutil, "rmtree", watch)
    assert take_away(root, artifact)
    assert seen == [(False, ["facts.json", "model.onnx"])]


def test_prune_wants_to_know_what_may_go(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    assert cli.main(["cache", "prune"]) == 2
    assert "--older-than 30d" in capsys.readouterr().err


@pytest.mark.parametrize("written", ["30", "d", "-1d", "3 d", "1w", "1e3d", "nand", "٣d", ""])
def test_a_duration_is_in_days_or_hours(
    written: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--older-than", "--unused-for"):
        assert cli.main(["cache", "prune", f"{option}={written}"]) == 2
        error = capsys.readouterr().err
        assert option in error
        assert "30d, 12h" in error


@pytest.mark.parametrize("written", ["5", "GB", "-5GB", "5gb", "5 GB", "5G", "infGB", "1e999GB"])
def test_a_size_has_a_unit(written: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cache", "prune", f"--max-size={written}"]) == 2
    assert "500MB, 5GB, 2GiB" in capsys.readouterr().err


@pytest.mark.parametrize(("written", "gone"), [("4GB", False), ("0.001MB", True), ("1MiB", False)])
def test_sizes_are_in_powers_of_1000_or_1024(
    written: str, gone: bool, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root, key("a"), size=1_040_000 if written == "1MiB" else 2000)
    output(capsys, "prune", "--max-size", written)
    assert (there(root) == set()) is gone


# Runs register themselves.


def test_a_run_registers_its_folder_once_and_names_what_it_needed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = """
        task: question-answering
        model_name_or_path: m
        dataset:
          path: d
          data_keys: {question: question, context: context}
          ref_keys: [answers]
        batch_sizes: [1]
        input_lengths: [32]
        """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "backend", lambda _: FakeBackend())
    Path("sweep.yaml").write_text(textwrap.dedent(config))
    for _ in range(2):
        assert cli.main(["run", "sweep.yaml", "--quiet"]) == 0
    (run,) = read_runs(root)
    assert run.path == tmp_path / "runs" / "sweep"
    assert run.running_since_ns is None
    # The export, one quantized file, three evaluations, one cell, one explanation.
    assert len(run.keys) == 7


def test_looking_after_the_store_loads_no_model_library(root: Path) -> None:
    code = (
        "import sys\n"
        "from quantbench.cli import main\n"
        "main(['cache', 'verify'])\n"
        "main(['cache', 'prune', '--max-size', '1GB'])\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxruntime', 'datasets', 'altair', 'scipy'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "loaded []" in done.stdout
