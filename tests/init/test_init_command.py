"""`quantbench init`: from files to a config that `plan` accepts and `run` can prepare."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fake_hub import FakeHub
from quantbench import cli
from quantbench.commands.config_files import read_config_file
from quantbench.worker.opened import open_config
from tiny_models import build

WORDS = ("who", "what", "where", "is", "the", "a", "in", "of", "river", "bridge", "stone", "?", ".")
ROWS = [
    {"question": "what is the river ?", "context": "the stone bridge . " * n, "answers": ["stone"]}
    for n in range(1, 41)
]


@pytest.fixture(scope="module")
def reader_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader with 128 positions: fewer than the task's windows have by default."""
    from transformers import BertTokenizerFast

    directory = tmp_path_factory.mktemp("reader")
    vocab = {w: n for n, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    BertTokenizerFast(vocab=vocab).save_pretrained(directory)
    build("distilbert", max_position_embeddings=128).save_pretrained(directory)
    return directory


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a split to evaluate on and one to calibrate on; caches of the test's own."""
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    for split, rows in (("train", ROWS), ("validation", ROWS[:7])):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text(lines)
    return folder


def init(*arguments: str | Path) -> int:
    return cli.main(["init", *map(str, arguments)])


def test_the_config_is_printed_and_nothing_else(
    reader_dir: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(reader_dir, "--dataset", data_dir) == 0
    printed = capsys.readouterr()
    assert yaml.safe_load(printed.out)["dataset"]["ref_keys"] == ["answers"]
    assert printed.err == ""


def test_the_file_is_accepted_by_plan_and_fits_the_model_and_the_data(
    reader_dir: Path, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep.yaml"
    assert init(reader_dir, "--dataset", data_dir, "--out", out) == 0
    assert f"quantbench plan {out}" in capsys.readouterr().out
    assert cli.main(["plan", str(out)]) == 0
    config, text = read_config_file(out)
    assert "validation (7 rows)" in text
    assert config.task_args == {"max_seq_length": 128, "doc_stride": 42}
    opened = open_config(config.model_dump_json())  # what a run does first
    assert opened.evaluated.num_rows == 7
    assert opened.calibrated is not None
    for length in config.input_lengths:
        opened.task.dummy_inputs(1, length, np.random.default_rng(0))
    assert len(opened.task.encode(ROWS[-1])) > 1


@pytest.mark.parametrize("ending", ["json", "csv", "parquet"])
def test_one_data_file_is_the_split_to_evaluate_on(
    ending: str, reader_dir: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    path = data_dir.parent / f"dev.{ending}"
    rows = [row | {"answers": "stone"} for row in ROWS]
    match ending:
        case "json":
            path.write_text(json.dumps(rows))
        case "csv":
            pyarrow.csv.write_csv(pyarrow.Table.from_pylist(rows), path)
        case _:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert init(reader_dir, "--dataset", path) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    assert found["dataset"]["path"] == ending
    assert found["dataset"]["data_files"] == {"validation": str(path)}
    assert found["dataset"]["ref_keys"] == ["answers"]
    assert found["benchmarked"]["quantization_approach"] == ["dynamic"]


def test_a_file_of_another_kind_is_refused(
    reader_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.xlsx"
    path.touch()
    assert init(reader_dir, "--dataset", path) == 2
    assert "'.xlsx'" in capsys.readouterr().err


def test_an_image_folder_is_read_with_its_class_names(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(folder / "1.png")
    names = {0: "dog", 1: "cat"}
    model = build("vit", num_labels=2)
    model.config.id2label = names
    model.save_pretrained(tmp_path / "model")
    assert init(tmp_path / "model", "--dataset", tmp_path / "pets") == 0
    text = capsys.readouterr().out
    found = yaml.safe_load(text)["dataset"]
    assert found["data_keys"] == {"primary": "image"}
    assert found["ref_keys"] == ["label"]
    assert found["eval_split"] == "test"
    assert "0 cat → 1 cat" in text


def test_a_file_that_exists_is_not_overwritten(
    reader_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.yaml"
    out.write_text("mine")
    assert init(reader_dir, "--out", out) == 2
    assert out.read_text() == "mine"
    assert "mine.yaml exists; it is not overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["./nowhere"], "there is no such directory"),
        (["{reader}", "--dataset", "./nowhere"], "does not exist"),
        (["{reader}", "--dataset-name", "x"], "--dataset-name needs --dataset"),
        (["{reader}", "--out", "{reader}/no/such/folder.yaml"], "No such file or directory"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    arguments: list[str], told: str, reader_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(*(argument.format(reader=reader_dir) for argument in arguments)) == 2
    text = capsys.readouterr().err
    assert told in text
    assert "Traceback" not in text


def test_what_is_missing_is_listed_beside_the_file(
    reader_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sweep.yaml"
    assert init(reader_dir, "--out", out) == 0
    assert "fill in dataset" in capsys.readouterr().out
    assert cli.main(["plan", str(out)]) == 2
    assert "dataset\n    required, but not given" in capsys.readouterr().err


def test_help_says_what_is_guessed_from_what_with_examples(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        init("--help")
    text = capsys.readouterr().out
    for part in ("guessed: from what", "fill in", "examples:", "--dataset D", "--out FILE"):
        assert part in text


def test_no_model_library_is_loaded(reader_dir: Path, data_dir: Path) -> None:
    code = (
        "import sys\n"
        "from quantbench.cli import main\n"
        "main(sys.argv[1:])\n"
        "heavy = {'torch', 'transformers', 'onnx', 'onnxruntime'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "init", str(reader_dir), "--dataset", "bundled:questions"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "loaded []" in result.stderr


def test_names_of_the_hub_are_written_as_they_are_today_and_pinned(
    reader_dir: Path, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    with FakeHub(tmp_path / "hub") as hub:
        hub.root = tmp_path / "repositories"
        model = hub.add("model", "owner/reader", reader_dir)
        data = hub.add("dataset", "rajpurkar/squad", data_dir)
        variables = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        result = subprocess.run(
            [sys.executable, "-m", "quantbench", "init", "owner/reader", "--dataset", "squad"],
            capture_output=True,
            text=True,
            env=os.environ | variables,
            cwd=tmp_path / "work",
            timeout=60,
        )
    assert result.returncode == 0, result.stderr
    found = yaml.safe_load(result.stdout)
    assert found["model_revision"] == model
    assert found["dataset"]["path"] == "rajpurkar/squad"
    assert found["dataset"]["revision"] == data
    assert "# the dataset squad is called rajpurkar/squad" in result.stdout


def test_a_dataset_with_several_configurations_asks_for_one(
    data_dir: Path, reader_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a", "b")
    lines = [f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in names]
    (data_dir / "README.md").write_text("---\nconfigs:\n" + "".join(lines) + "---\n")
    for name in names:
        (data_dir / f"{name}.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    assert init(reader_dir, "--dataset", data_dir) == 2
    assert "--dataset-name" in capsys.readouterr().err
    assert init(reader_dir, "--dataset", data_dir, "--dataset-name", "b") == 0
    assert yaml.safe_load(capsys.readouterr().out)["dataset"]["name"] == "b"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["questions", "digits"])
def test_the_config_of_a_bundled_model_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    out = tmp_path / "sweep.yaml"
    assert init(f"bundled:{name}", "--dataset", f"bundled:{name}", "--out", out) == 0
    assert cli.main(["plan", str(out)]) == 0
    changes: dict[str, Any] = {
        "max_eval_samples": 16,
        "batch_sizes": [1],
        "time_benchmark_args": {"duration": 0.3, "warmup_runs": 2},
        "calibration": {"num_calibration_samples": 8},
    }
    if name == "questions":
        changes["input_lengths"] = [32]
    out.write_text(yaml.safe_dump(yaml.safe_load(out.read_text()) | changes, sort_keys=False))
    assert cli.main(["run", str(out), "--out", str(tmp_path / "run"), "--quiet"]) == 0
