"""What padded calibration does to a model with an attention mask, and what a clamped mask does.

The scripts of 2022 calibrated on samples that were padded to one length: the mask's huge negative
constant is then in what is calibrated on, and one scale has to hold it and the scores. quantbench
calibrates sample by sample without padding; `clamp_mask` holds in both cases. Here the bundled
questions model is quantized in all four ways (static, uint8, Add and MatMul with the scripts'
exclusions but softmax, minmax over 100 samples), and each file is evaluated on all validation
samples as they are, and again padded.

    python benchmarks/padded_calibration.py [--samples 1200] [--padded-to 128]

Writes `benchmarks/results/padded_calibration.md`, or what `--out` names. Ends with an error if a
clamped mask loses more than the original way, padded.
"""

from __future__ import annotations

import argparse
import importlib.resources
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from padding import Padded, padded
from quantbench import registry
from quantbench.analysis.accuracy import compare_metrics
from quantbench.core.calibration import Calibration
from quantbench.core.config_file import read_config
from quantbench.core.preparation import Preparation
from quantbench.core.quantization import Static
from quantbench.core.results import Evaluation
from quantbench.core.specs import MetricSpec
from quantbench.protocols import Inputs, SessionOptions
from quantbench.reports import markdown
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.evaluate import evaluate
from quantbench.stages.export import export_onnx
from quantbench.stages.optimize import optimize_model
from quantbench.stages.quantize import quantize_model
from quantbench.worker.opened import Opened, open_config

RESULT = Path(__file__).parent / "results" / "padded_calibration.md"
OPSET = 17
NUM_CALIBRATION_SAMPLES = 100
OPERATORS = ("Add", "MatMul")
EXCLUSIONS = ("layernorm", "gelu", "residual", "gather")


def main() -> None:
    """Quantize in all four ways, evaluate each in both, and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1200, help="of the validation split")
    parser.add_argument("--padded-to", type=int, default=128, help="tokens")
    parser.add_argument("--out", type=Path, default=RESULT, help="the Markdown file to write")
    asked = parser.parse_args()
    text = (importlib.resources.files("quantbench.demo") / "demo-questions.yaml").read_text()
    config = read_config(text, "demo-questions", registry.catalog())
    config = config.model_copy(
        update={
            "quantization_approach": "static",
            "benchmarked": {},
            "dataset": config.dataset.model_copy(update={"calibration_split": "train"}),
        }
    )
    opened = open_config(config.model_dump_json())
    metrics = registry.task(config.task).spec.metrics
    rows: list[list[str]] = []
    lost: dict[bool, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_floats(opened, work)
        for is_padded in (False, True):
            length = asked.padded_to if is_padded else 0
            original = evaluated(opened, work / "fp32.onnx", asked.samples, length)
            pads = "padded" if is_padded else "unpadded"
            rows.append(["float32", "–", pads, *_numbers(original, original, metrics)])
            for clamp in (False, True):
                for calibrated_padded in (False, True):
                    path = quantized(
                        opened, work, clamp, asked.padded_to if calibrated_padded else 0
                    )
                    found = evaluated(opened, path, asked.samples, length)
                    mask = "clamped, in floats" if clamp else "as it is"
                    how = "padded" if calibrated_padded else "unpadded"
                    rows.append([mask, how, pads, *_numbers(original, found, metrics)])
                    print(*rows[-1], file=sys.stderr, flush=True)
                    if is_padded and calibrated_padded:
                        lost[clamp] = original.metrics["f1"] - found.metrics["f1"]
    head = ["mask", "calibrated", "evaluated"]
    head += [text for metric in metrics for text in (metric.name, "drop, points [95 %]")]
    said = (
        f"# Calibration with padding (`python benchmarks/padded_calibration.py`)\n\n"
        f"The bundled questions model, {asked.samples:,} validation samples, static uint8, "
        f"minmax over {NUM_CALIBRATION_SAMPLES} samples; padded to {asked.padded_to} tokens. A "
        "drop is against the float file evaluated in the same way; brackets are paired 95 % "
        "intervals.\n\n"
    )
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(said + markdown.table(head, rows) + "\n", encoding="utf-8")
    print(asked.out.read_text(encoding="utf-8"))
    if lost[True] > lost[False]:
        sys.exit("a clamped mask lost more than one as it is, calibrated and evaluated padded")


def make_floats(opened: Opened, work: Path) -> None:
    """The export, and the same with its mask clamped."""
    checked = [part.inputs for part in opened.task.encode(opened.evaluated.row(0))]
    checked += [part.inputs for part in opened.task.encode(opened.evaluated.row(1))]
    directory = opened.source.directory
    fp32 = work / "fp32.onnx"
    export_onnx(directory, "AutoModelForQuestionAnswering", OPSET, checked, fp32)
    optimize_model(fp32, Preparation(clamp_mask=True), checked, work / "clamped.onnx", {})


def quantized(opened: Opened, work: Path, clamp: bool, length: int) -> Path:
    """A static file, calibrated on samples that are padded to a length (0: not padded)."""
    path = work / f"int8-{clamp}-{length}.onnx"
    if path.exists():
        return path
    source = work / ("clamped.onnx" if clamp else "fp32.onnx")
    calibration = Calibration(num_calibration_samples=NUM_CALIBRATION_SAMPLES)
    ranges = path.with_suffix(".json")
    collect_ranges(source, calibrated_on(opened, length), OPERATORS, calibration, ranges)
    scheme = Static(
        operators=OPERATORS, node_exclusion=EXCLUSIONS, clamp_mask=clamp, calibration=calibration
    )
    quantize_model(source, scheme, ranges, path)
    return path


def calibrated_on(opened: Opened, length: int) -> Iterator[Inputs]:
    """The first samples of the calibration split."""
    assert opened.calibrated is not None
    for index in range(NUM_CALIBRATION_SAMPLES):
        for part in opened.task.encode(opened.calibrated.row(index)):
            yield padded(part.inputs, length)


def evaluated(opened: Opened, path: Path, num_samples: int, length: int) -> Evaluation:
    """The first samples of the validation split through a file."""
    session = registry.runtime("onnxruntime").open(path, SessionOptions(1, 99))
    indices = range(min(num_samples, opened.evaluated.num_rows))
    return evaluate(
        Padded(session, length),
        opened.task,
        (opened.evaluated.row(index) for index in indices),
        [str(index) for index in indices],
        ("exact_match", "f1"),
        None,
        on_sample=lambda _: None,
    )


def _numbers(original: Evaluation, found: Evaluation, metrics: Sequence[MetricSpec]) -> list[str]:
    cells: list[str] = []
    for metric in compare_metrics(original, found, metrics):
        cells += [
            f"{metric.optimized:.2f}",
            f"{metric.drop:.2f} [{metric.low:.2f}, {metric.high:.2f}]",
        ]
    return cells


if __name__ == "__main__":
    main()
