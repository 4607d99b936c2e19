"""`quantbench time`: files beside each other, with made-up inputs."""

from __future__ import annotations

import importlib.metadata
import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnx_files import one_matmul
from quantbench import cli
from quantbench.analysis.timed_files import Asked, timed_files
from quantbench.commands.time import Options
from quantbench.core.config import TimeBenchmarkArgs
from quantbench.core.input_shapes import DeclaredInput
from quantbench.core.plan import Cell
from quantbench.core.results import Timing, TimingFailed
from quantbench.core.timing_defaults import DURATION_S, PRECISION
from quantbench.graph.inputs import declared_inputs
from quantbench.reports.time import print_timed_files
from quantbench.runtimes.auto_class import auto_class
from quantbench.stages import arm_processes
from quantbench.stages import time as timing
from quantbench.stages.arm_processes import ArmProcesses, ArmSpec, ArmStarter, Conditions
from quantbench.stages.random_inputs import random_inputs
from synthetic import environment
from synthetic import timing as synthetic_timing
from tiny_models import Models

CELL = Cell(batch_size=1, input_length=None)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arm_processes, "BLOCK_LEAST_SECONDS", 0.001)
    monkeypatch.setattr(timing, "LOCK", tmp_path / "timing.lock")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return one_matmul(tmp_path / "model.onnx")


QUICK = ("--duration", "0.05", "--threads", "1")


def test_files_are_timed_beside_each_other(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = shutil.copy(model, model.with_name("other.onnx"))
    assert cli.main(["time", str(model), str(other), *QUICK, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [file["name"] for file in found["files"]] == [str(model), str(other)]
    first, second = found["files"]
    assert first["speedup"] is None
    assert second["speedup"]["value"] > 0
    assert first["latency"]["p50_ms"] > 0
    assert first["num_bytes"] == model.stat().st_size
    assert found["noise"]["ratio"]["value"] > 0
    assert found["shapes"] == {"x": [1, 64]}
    assert found["environment"]["num_threads"] == 1
    assert found["environment"]["packages"]["onnxruntime"] == importlib.metadata.version(
        "onnxruntime"
    )
    assert found["optimization_level"] == 99
    assert found["affinity"] is None or len(found["affinity"]) == 1
    assert found["interrupted"] is False


def test_the_level_of_optimization_can_be_chosen(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int | None] = []
    real = ArmProcesses.open

    def noting(processes: ArmProcesses, arm: ArmSpec, conditions: Conditions) -> None:
        opened.append(arm.options.optimization_level)
        real(processes, arm, conditions)

    monkeypatch.setattr(ArmProcesses, "open", noting)
    assert cli.main(["time", str(model), *QUICK, "--optimization-level", "1"]) == 0
    assert set(opened) == {1}
    assert "at optimization level 1, PyTorch" in capsys.readouterr().out


def test_what_was_finished_before_an_interrupt_is_reported(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_in_set(2, monkeypatch)
    assert cli.main(["time", str(model), *QUICK, "--json"]) == 130
    found = json.loads(capsys.readouterr().out)
    assert found["interrupted"] is True
    assert found["num_process_sets"] == 1
    assert found["files"][0]["latency"]["p50_ms"] > 0
    assert any("timing was interrupted" in warning for warning in found["warnings"])


def test_an_interrupt_before_anything_was_finished_says_that_nothing_is_kept(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_in_set(1, monkeypatch)
    assert cli.main(["time", str(model), *QUICK]) == 130
    printed = capsys.readouterr()
    assert "before a process set was finished: nothing was measured" in printed.err
    assert "run the same command again" not in printed.err
    assert printed.out == ""


def interrupt_in_set(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C does when the process set with that number has begun."""
    started: list[ArmProcesses] = []
    real = ArmStarter.__call__

    def noting(starter: ArmStarter, *arguments: Any) -> ArmProcesses:
        started.append(real(starter, *arguments))
        if len(started) == number:
            started[-1].close()
            raise KeyboardInterrupt
        return started[-1]

    monkeypatch.setattr(ArmStarter, "__call__", noting)


def test_one_file_alone_is_timed_against_its_own_copy(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["time", str(model), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "Noise floor: a second copy of the first file took" in printed
    assert "batch size 1, 1 thread on " in printed


def test_a_file_that_cannot_be_run_fails_alone(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = without_kernel(model)
    assert cli.main(["time", str(model), str(broken), *QUICK]) == 4
    assert "failed: QuantbenchError: ONNX Runtime" in capsys.readouterr().out
    assert cli.main(["time", str(broken), str(model), *QUICK]) == 1


def without_kernel(model: Path) -> Path:
    import onnx

    changed = onnx.load(model)
    changed.graph.node[0].op_type = "NoSuchOperator"
    path = model.with_name("broken.onnx")
    onnx.save(changed, path)
    return path


@pytest.mark.slow
def test_pytorch_can_be_timed_too(models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = models.exported("distilbert", 17), models.directory("distilbert")
    arguments = ["time", str(path), "--pytorch", str(folder), "--input-length", "8", *QUICK]
    assert cli.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"][1]["name"] == f"{folder} (PyTorch eager)"
    assert found["files"][1]["num_bytes"] is None
    assert found["shapes"]["input_ids"] == [1, 8]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--duration", "0"], "--duration 0: must be more than 0 and at most 86,400"),
        (["--duration", "-3"], "--duration -3: must be more than 0"),
        (["--duration", "nan"], "--duration nan: must be more than 0"),
        (["--precision", "1"], "--precision 1: must be more than 0, less than 1"),
        (["--batch-size", "0"], "--batch-size 0: must be at least 1"),
        (["--input-length", "-1"], "--input-length -1: must be at least 1"),
        (["--threads", "0"], "--threads 0: must be at least 1"),
        (["--threads", "100000"], "--threads 100000: more threads than the "),
        (["--shape", "x"], "--shape x: must be NAME=SIZE,SIZE,..."),
        (["--shape", "x=1,0"], "--shape x=1,0: must be NAME=SIZE,SIZE,..."),
        (["--batch-size", "2"], "--batch-size 2: the graph fixes that size of its input x to 1"),
        (["--pytorch", "nowhere"], "--pytorch nowhere: has no config.json"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_timed(
    model: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["time", str(model), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_inputs_that_no_machine_holds_are_refused(
    models: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(models.exported("distilbert", 17))
    assert cli.main(["time", path, "--batch-size", "1000000", "--input-length", "1000"]) == 2
    told = capsys.readouterr().err
    assert "the inputs have 2,000,000,000 elements" in told
    assert "at most 100,000,000 are allowed" in told
    assert "Ask for a smaller --batch-size, --input-length or --shape." in told


def test_files_that_are_not_there_or_take_other_inputs_are_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["time", str(model), str(tmp_path / "none.onnx")]) == 2
    assert "none.onnx: there is no such file" in capsys.readouterr().err
    wide = one_matmul(tmp_path / "wide.onnx", width=32)
    assert cli.main(["time", str(model), str(wide)]) == 2
    told = capsys.readouterr().err
    assert f"{wide} takes x [1, 32], but {model} takes x [1, 64]" in told
    assert "Only files that take the same inputs can be compared." in told


def test_more_threads_than_cores_are_warned_of_before_and_after(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantbench.environment.allowed_cores", lambda *_: 1)
    assert cli.main(["time", str(model), "--duration", "0.05", "--threads", "2"]) == 0
    printed = capsys.readouterr()
    for text in (printed.err, printed.out):
        assert "2 threads on the 1 core that may be used" in text


def test_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["time", "--help"])
    text = capsys.readouterr().out
    for part in ("examples:", "exit codes:", "--shape pixel_values=1,3,224,224", "masks are ones"):
        assert part in text


def test_the_defaults_are_those_of_a_config(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Options] = []

    def kept(_: object, options: Options, as_json: bool) -> int:
        asked.append(options)
        return int(as_json)

    monkeypatch.setattr("quantbench.commands.time.time_files", kept)
    assert cli.main(["time", "model.onnx"]) == 0
    defaults = TimeBenchmarkArgs()
    assert (asked[0].duration_s, asked[0].precision) == (None, None)
    assert (defaults.duration, defaults.precision) == (DURATION_S, PRECISION)


def test_inputs_are_made_by_the_graphs_types() -> None:
    declared = (
        DeclaredInput("input_ids", "int64", None),
        DeclaredInput("attention_mask", "int64", None),
        DeclaredInput("token_type_ids", "int64", None),
        DeclaredInput("position_ids", "int32", None),
        DeclaredInput("pixel_values", "float16", None),
        DeclaredInput("use_cache", "bool", None),
    )
    shapes = dict.fromkeys((item.name for item in declared), (2, 5))
    made = random_inputs(declared, shapes, np.random.default_rng(0))
    assert {name: str(array.dtype) for name, array in made.items()} == {
        item.name: item.dtype for item in declared
    }
    assert all(array.shape == (2, 5) for array in made.values())
    assert set(np.unique(made["input_ids"])) <= set(range(1, 20))
    assert (made["attention_mask"] == 1).all()
    assert (made["token_type_ids"] == 0).all()
    assert made["position_ids"].tolist() == [[0, 1, 2, 3, 4]] * 2
    assert made["use_cache"].all()
    assert np.abs(made["pixel_values"]).max() < 10


def test_the_inputs_of_a_graph_are_those_without_an_initializer(models: Models) -> None:
    import onnx

    found = declared_inputs(onnx.load(models.exported("distilbert", 17)))
    assert [(item.name, item.dtype) for item in found] == [
        ("input_ids", "int64"),
        ("attention_mask", "int64"),
    ]
    assert all(item.has_lengths for item in found)


def made(arm_id: str, speed: float, noise: float = 0.01) -> Timing:
    return synthetic_timing(arm_id, CELL, speed, noise, twice=arm_id == "file-1")


def report(found: dict[str, Timing | TimingFailed]) -> str:
    names = {name: f"{name}.onnx" for name in found if name != "twin"}
    asked = Asked(
        names=names,
        num_bytes=dict.fromkeys(names, 10_000_000),
        twin_id="twin",
        cell=CELL,
        shapes={"x": (1, 64)},
        environment=environment(),
        optimization_level=99,
        affinity=(0, 1),
        precision=0.03,
    )
    stream = io.StringIO()
    print_timed_files(timed_files(asked, found, 42.0, interrupted=False), stream)
    return stream.getvalue()


def test_the_report_has_times_ratios_and_the_noise_floor() -> None:
    """40 ms at speed 1: the second file is twice as fast as the first, and not well known."""
    text = report(
        {
            "file-1": made("file-1", 1.0),
            "file-2": made("file-2", 2.0),
            "file-3": made("file-3", 3.0, noise=0.4),
            "twin": made("twin", 1.0),
        }
    )
    lines = {line.split()[1]: line for line in text.splitlines() if ".onnx" in line}
    cells = [cell.strip() for cell in lines["file-2.onnx"].split("│")[1:-1]]
    assert cells[1] == "10.0"
    assert float(cells[2]) == pytest.approx(22, rel=0.05)  # 20 ms, and the machine's drift
    ratio, low, high = (float(part.strip("[],")) for part in cells[6].split())
    assert low < ratio < high
    assert math.isclose(ratio, 2.0, rel_tol=0.03)
    assert "(unresolved ±" in lines["file-3.onnx"]
    assert "unresolved" not in lines["file-2.onnx"]
    assert "Noise floor: a second copy of the first file took 1" in text
    assert "Inputs: x [1, 64]. 4 process sets in 42 s." in text
    assert "at optimization level 99, PyTorch" in text
    assert "processors: 0, 1 of " in text
    assert "Warning" not in text


def test_a_copy_that_differs_makes_the_session_invalid() -> None:
    text = report({"file-1": made("file-1", 1.0), "twin": made("twin", 0.8)})
    assert "Warning: this session is not valid: two copies of the first file differ" in text


def test_a_file_that_failed_has_its_reason_and_the_others_their_times() -> None:
    failed = TimingFailed(stage="time", error="was killed by SIGKILL\nmore", cell=CELL)
    found = {"file-1": made("file-1", 1.0), "file-2": failed, "twin": made("twin", 1.0)}
    assert "failed: was killed by SIGKILL │" in report(found)
    found = {"file-1": failed, "file-2": made("file-2", 1.0), "twin": made("twin", 1.0)}
    text = report(found)
    assert "(unresolved)" in text
    assert "the noise floor is not known" in text


def test_why_there_is_no_noise_floor_is_a_warning() -> None:
    failed = TimingFailed(stage="time", error="was killed by SIGKILL", cell=CELL)
    text = report({"file-1": made("file-1", 1.0), "twin": failed})
    assert (
        "Warning: the second copy of the first file failed, so nothing shows the noise: "
        "was killed by SIGKILL." in text
    )


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        ("GPT2Config", "GPT2LMHeadModel"),
        ("GPT2Config", "GPT2Model"),
        ("T5Config", "T5ForConditionalGeneration"),
        ("MaskFormerConfig", "MaskFormerModel"),
        ("DistilBertConfig", "DistilBertForQuestionAnswering"),
    ],
)
def test_a_pytorch_model_is_opened_with_the_head_that_it_names(
    config: str, architecture: str, tmp_path: Path
) -> None:
    import torch
    import transformers

    described = getattr(transformers, config)(architectures=[architecture])
    described.save_pretrained(tmp_path)
    with torch.device("meta"):
        made = getattr(transformers, auto_class(tmp_path)).from_config(described)
    assert type(made).__name__ == architecture


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ({"model_type": "bert", "architectures": ["OurModel"]}, "loads a OurModel of model_type b"),
        (
            {"model_type": "ours", "architectures": ["BertModel"]},
            "loads a BertModel of model_type o",
        ),
        ({"model_type": "bert"}, "its config.json names no architecture and model_type"),
        ({"model_type": "bert", "architectures": []}, "names no architecture"),
    ],
)
def test_a_pytorch_model_that_transformers_cannot_load_is_refused_before_timing(
    model: Path,
    described: dict[str, Any],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert cli.main(["time", str(model), "--pytorch", str(tmp_path), *QUICK]) == 2
    assert told in capsys.readouterr().err
