"""The store: an artifact is there whole or not at all, and is checked when it is read."""

import os
import stat
from pathlib import Path

import pytest

from quantbench import store
from quantbench.core.errors import UsageError


def test_an_artifact_is_built_once_and_then_found(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> store.Facts:
        calls.append(folder)
        (folder / "model.onnx").write_text("weights")
        return {"opset": 17}

    key = store.artifact_key("export", 1, {"model": "abc"})
    first = store.make(tmp_path, key, build)
    second = store.make(tmp_path, key, build)
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
        store.make(tmp_path, "ab" * 16, build)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.find(tmp_path, "ab" * 16) is None


def test_a_damaged_artifact_is_not_found_but_made_again(tmp_path: Path) -> None:
    def build(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("good")
        return {}

    key = "cd" * 16
    (store.make(tmp_path, key, build).path / "model.onnx").write_text("bad")
    assert store.find(tmp_path, key) is None
    assert (store.make(tmp_path, key, build).path / "model.onnx").read_text() == "good"


def test_of_two_processes_that_make_the_same_both_get_it(tmp_path: Path) -> None:
    key = "ef" * 16

    def faster(folder: Path) -> store.Facts:
        (folder / "model.onnx").write_text("one")
        return {}

    def slower(folder: Path) -> store.Facts:
        store.make(tmp_path, key, faster)  # another process moves its own into place first
        (folder / "model.onnx").write_text("one")
        return {}

    assert (store.make(tmp_path, key, slower).path / "model.onnx").read_text() == "one"


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
        store.check_store(tmp_path / "file")
    store.check_store(tmp_path / "new")


def test_an_artifact_with_damaged_facts_is_made_again(tmp_path: Path) -> None:
    key = "ab" * 16
    (store.make(tmp_path, key, lambda _: {"n": 1}).path / "facts.json").write_text("{")
    assert store.find(tmp_path, key) is None
    assert store.make(tmp_path, key, lambda _: {"n": 2}).facts == {"n": 2}


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    key = "cd" * 16
    folder = tmp_path / "artifacts" / "cd"
    old, young = folder / ".cdcdcdcd-old", folder / ".cdcdcdcd-young"
    for path in (old, young):
        path.mkdir(parents=True)
    os.utime(old, (0, 0))
    store.make(tmp_path, key, lambda _: {})
    assert not old.exists()
    assert young.exists()
