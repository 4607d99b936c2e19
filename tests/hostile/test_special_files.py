"""Pipes, sockets, devices and folders in the place of a file are an error, and never waited for."""

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_data import command

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import UsageError
from quantbench.data import model_files
from quantbench.data.models import resolve_model
from quantbench.data.sources import find_source
from quantbench.packaging import MANIFEST, check_target

Put = Callable[[Path], None]
LONGEST_WAIT_S = 20
ROW = '{"question": "Who?", "context": "Ann Lee lives here.", "answers": ["Ann Lee"]}\n'


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # a path of a socket is short


def put_device(path: Path) -> None:
    path.symlink_to("/dev/zero")  # it never ends


KINDS: dict[str, Put] = {
    "pipe": os.mkfifo,
    "socket": put_socket,
    "device": put_device,
    "folder": Path.mkdir,
}


@pytest.fixture(params=KINDS)
def put(request: pytest.FixtureRequest) -> Put:
    return KINDS[request.param]


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """An alarm that no test reaches, unless something waits for a pipe."""

    def fail(*_: Any) -> None:
        pytest.fail("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(LONGEST_WAIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("arguments", [["plan"], ["run"]])
def test_as_a_config_it_is_refused(put: Put, arguments: list[str], tmp_path: Path) -> None:
    put(tmp_path / "sweep.yaml")
    said = command(*arguments, "sweep.yaml")
    assert said.code == 2
    assert said.err.startswith("quantbench: cannot read sweep.yaml: ")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    bundled = resolve_model("bundled:questions", None).directory
    return Path(shutil.copytree(bundled, tmp_path / "model"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_as_a_file_of_a_model_it_is_refused(put: Put, name: str, model: Path) -> None:
    (model / name).unlink()
    put(model / name)
    with pytest.raises(UsageError, match=f"{name}|no weights"):
        resolve_model(str(model), None)


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt", "README.md"])
def test_what_a_model_may_lack_is_passed_over(put: Put, name: str, model: Path) -> None:
    (model / name).unlink(missing_ok=True)
    put(model / name)
    assert name not in model_files.file_names(model)
    assert resolve_model(str(model), None).license is None


def test_as_the_file_of_a_tokenizer_it_is_refused(put: Put, model: Path) -> None:
    from quantbench.tasks.tokenizer import load_tokenizer

    (model / "tokenizer.json").unlink()
    put(model / "tokenizer.json")
    with pytest.raises(UsageError, match="its files are missing"):
        load_tokenizer(model)


@pytest.mark.parametrize("suffix", [".onnx", ""])
def test_in_place_of_a_whole_model_it_is_refused(put: Put, suffix: str, tmp_path: Path) -> None:
    put(tmp_path / f"given{suffix}")
    with pytest.raises(UsageError, match="given"):
        resolve_model(f"./given{suffix}", None)


@pytest.mark.parametrize("builder", ["json", "csv", "parquet", "imagefolder"])
def test_as_a_file_of_data_it_is_refused(put: Put, builder: str, tmp_path: Path) -> None:
    put(tmp_path / "rows.data")
    config = DatasetConfig(
        path=builder, data_files={"validation": "rows.data"}, data_keys={"a": "b"}, ref_keys=("c",)
    )
    with pytest.raises(UsageError, match="data_files"):
        find_source(config).read("validation")


def test_in_a_folder_of_data_it_is_refused_or_passed_over(put: Put, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "validation.jsonl").write_text(ROW)
    put(folder / "validation-2.jsonl")
    config = DatasetConfig(path="./data", data_keys={"a": "b"}, ref_keys=("c",))
    try:
        rows = find_source(config).read("validation")
    except UsageError as error:
        assert "validation-2.jsonl" in str(error)  # noqa: PT017
    else:
        assert len(rows) == 1


def test_it_is_no_dataset(put: Put, tmp_path: Path) -> None:
    put(tmp_path / "given")
    config = DatasetConfig(path="./given", data_keys={"a": "b"}, ref_keys=("c",))
    with pytest.raises(UsageError, match="given"):
        find_source(config)


def test_as_a_file_to_inspect_it_is_refused(put: Put, tmp_path: Path) -> None:
    put(tmp_path / "model.onnx")
    said = command("inspect", "model.onnx")
    assert said.code == 2
    assert re.search("model.onnx: (it is no ordinary file|is a folder)", said.err)


@pytest.mark.parametrize(
    "arguments", [["card"], ["explain", "--row", "1"], ["trace", "--row", "1"]]
)
def test_as_a_run_it_is_refused(put: Put, arguments: list[str], tmp_path: Path) -> None:
    put(tmp_path / "run")
    said = command(*arguments, "run")
    assert said.code == 2
    assert "run holds no run" in said.err


def test_as_the_list_of_what_a_folder_holds_it_is_not_replaced(put: Put, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    put(tmp_path / "saved" / MANIFEST)
    with pytest.raises(UsageError, match="holds what save-model did not write"):
        check_target(tmp_path / "saved", force=True)
