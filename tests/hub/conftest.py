"""A hub on loopback, and a process that loads from it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machine import Machine, environment

from fake_hub import FakeHub

ROWS = [{"text": f"text {n}", "label": n % 2} for n in range(40)]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeHub]:
    with FakeHub(tmp_path_factory.mktemp("hub")) as hub:
        yield hub


@pytest.fixture
def hub(server: FakeHub, tmp_path: Path) -> FakeHub:
    """The hub: empty, and in order."""
    server.root = tmp_path / "repositories"
    server.repositories.clear()
    server.moved.clear()
    server.faults.clear()
    server.requests.clear()
    if server.server is None:
        server.start()
    return server


@pytest.fixture(scope="session")
def loader(
    server: FakeHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).with_name("loader.py")
    log = (tmp_path_factory.mktemp("loader") / "stderr.txt").open("w")
    with (
        log,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(server, tmp_path_factory.mktemp("home")),
        ) as process,
    ):
        yield process
        process.stdin.close() if process.stdin else None


@pytest.fixture
def machine(loader: subprocess.Popen[str], tmp_path: Path) -> Machine:
    assert loader.stdin is not None
    assert loader.stdout is not None
    directory = tmp_path / "work"
    directory.mkdir()
    return Machine(loader.stdin, loader.stdout, tmp_path / "home", directory)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that loads, in safetensors, with files that nobody needs."""
    from tiny_models import build

    folder = tmp_path_factory.mktemp("model")
    build("distilbert").save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Card\n")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / "tf_model.h5").write_bytes(b"another format")
    (folder / "modeling_own.py").write_text("raise SystemExit")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"another format")
    return folder


@pytest.fixture
def make_data(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset repository with the splits train and validation."""

    def make(form: str, count: int = len(ROWS), first: int = 0) -> Path:
        from datasets import Dataset

        folder = tmp_path / f"{form}-{count}-{first}"
        (folder / "data").mkdir(parents=True)
        for split in ("train", "validation"):
            rows = ROWS[first : first + count]
            if form == "parquet":
                Dataset.from_list(rows).to_parquet(
                    folder / "data" / f"{split}-00000-of-00001.parquet"
                )
            else:
                lines = "".join(json.dumps(row) + "\n" for row in rows)
                (folder / "data" / f"{split}.jsonl").write_text(lines)
        return folder

    return make
