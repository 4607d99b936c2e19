"""A sweep of a given ONNX file: the file is the original, and PyTorch has no part in it."""

import json
import textwrap
from pathlib import Path

import pytest

from fake_backend import FakeBackend
from quantbench import cli, registry, run_dir
from quantbench.analysis.compare import summarize
from quantbench.core.results import Timing
from quantbench.core.summary import SweepSummary
from quantbench.reports.wording import model_title

CONFIG = """
task: question-answering
model_name_or_path: ./exported/onnx/model.onnx
dataset:
  path: d
  data_keys: {question: question, context: context}
  ref_keys: [answers]
framework_args: {opset: 14}
batch_sizes: [1, 4]
input_lengths: [32]
benchmarked:
  operators_to_quantize: [[Add], [MatMul]]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTBENCH_STORE", str(tmp_path / "store"))
    path = tmp_path / "sweep.yaml"
    path.write_text(textwrap.dedent(CONFIG))
    return path


def card_of(monkeypatch: pytest.MonkeyPatch, *failing: str) -> str:
    backend = FakeBackend(*failing)
    monkeypatch.setattr(registry, "backend", lambda _: backend)
    cli.main(["run", "sweep.yaml", "--quiet"])
    return Path("runs/sweep/README.md").read_text()


def run(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeBackend, SweepSummary]:
    backend = FakeBackend()
    monkeypatch.setattr(registry, "backend", lambda _: backend)
    assert cli.main(["run", "sweep.yaml", "--quiet"]) == 0
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    return backend, summarize(result, registry.task("question-answering").spec)


def test_at_level_99_the_original_is_the_reference_and_measured_once(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, summary = run(monkeypatch)
    evaluated = [name for stage, name in backend.asked if stage == "evaluate"]
    # The file and the quantized one, side by side; Add alone is the file.
    assert (len(evaluated), evaluated.count("original")) == (2, 1)
    assert summary.references == ()
    assert {row.reference_id for row in summary.rows} == {"original"}
    result = run_dir.load_run(Path("runs/sweep"), registry.catalog())
    assert {arm.same_as for arm in result.arms if arm.arm.role == "reference"} == {"original"}
    timings = [item for arm in result.arms for item in arm.timings if isinstance(item, Timing)]
    assert {timing.reference_id for timing in timings} == {"original"}


def test_the_second_copy_still_shows_the_noise(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, summary = run(monkeypatch)
    assert [noise.cell for noise in summary.noise] == list(summary.cells)


def test_at_another_level_the_reference_is_a_measurement_of_its_own(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text().replace("opset: 14", "opset: 14, optimization_level: 1"))
    backend, summary = run(monkeypatch)
    assert backend.counts["evaluate"] == 3
    assert [arm.id for arm in summary.references] == ["onnxruntime-float32-opset14-level1"]


def test_speed_ups_are_over_the_file_and_every_report_says_so(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, summary = run(monkeypatch)
    assert summary.original_name == "the given ONNX file"
    card = Path("runs/sweep/README.md").read_text()
    assert "PyTorch eager" not in card
    assert "keep the original**, the given ONNX file" in card
    assert "it was not compared with the PyTorch model that it came from" in card
    assert "# exported, quantized for CPU" in card
    picture = Path("runs/sweep/plots/accuracy_speed-light.svg").read_text()
    assert "times as fast as the given ONNX file" in picture
    cli.main(["run", "sweep.yaml", "--json"])
    lines = json.loads(capsys.readouterr().out)
    assert {line["original_name"] for line in lines} == {"the given ONNX file"}


def test_its_opset_cannot_be_swept(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = config.read_text().replace("framework_args: {opset: 14}\n", "")
    config.write_text(text + "  framework_args.opset: [14, 17]\n")
    assert cli.main(["plan", "sweep.yaml"]) == 2
    said = capsys.readouterr().err
    assert "benchmarked.framework_args.opset" in said
    assert "cannot be swept: the opset is that of the given ONNX file" in said


def test_at_another_level_no_two_things_in_the_card_have_one_name(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text().replace("opset: 14", "opset: 14, optimization_level: 1"))
    lines = card_of(monkeypatch).splitlines()
    firsts = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert "fp32" not in firsts
    # Steps, what rows did, and two tables of percentiles.
    assert firsts.count("the given ONNX file") == 4
    assert firsts.count("ONNX Runtime fp32 at level 1") == 4
    assert "> **Recommended: keep fp32**, in ONNX Runtime at level 1" in lines


def test_a_file_that_could_not_be_taken_is_told_once(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(config.read_text().replace("opset: 14", "opset: 14, optimization_level: 1"))
    card = card_of(monkeypatch, "export")
    assert "* the given ONNX file failed in export: broken on purpose." in card
    assert "* ONNX Runtime fp32 at level 1 failed" not in card


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("./model.onnx", "model"),
        ("../onnx/small.onnx", "small"),
        ("/model.onnx", "model"),
        ("~/model.onnx", "model"),
        ("model.onnx", "model"),
        ("./dir/onnx/model.onnx", "dir"),
        ("owner/name/onnx/model.onnx", "name"),
        ("owner/name", "name"),
    ],
)
def test_a_card_is_called_after_the_folder_of_the_file_or_else_the_file(
    path: str, title: str
) -> None:
    assert model_title(path) == title
