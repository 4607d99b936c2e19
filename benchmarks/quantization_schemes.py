"""Every scheme × exporter: loads, runs, error against fp32, size, and time beside fp32.

The models are DistilBERT-base with random weights, whose times and sizes are those of the real one,
and the two that come with quantbench. A scheme's error is that of its outputs against the exported
file that it was made from, over samples that are not calibrated on. Its time is that of the float
file over its own at optimization level 99, in one session per export, in blocks that take turns.

    python benchmarks/quantization_schemes.py [--quick] [--all] [--model NAME ...] [--only TEXT]

Schemes whose name begins with `fused` are made of a file with ONNX Runtime's fused operators;
static ones with `Add`, or SmoothQuant, of a prepared file too, as in a sweep.

The schemes of `MAIN` are made of every export, the others of one; `--all` makes all of all. What is
done is kept below `--work`, so that a run that was stopped goes on where it was. Writes and prints
Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import environment, registry
from quantbench.core.calibration import Calibration, CalibrationMethod
from quantbench.core.config import SweepConfig, TimeBenchmarkArgs
from quantbench.core.effective import effective
from quantbench.core.errors import QuantbenchError
from quantbench.core.exporters import Export
from quantbench.core.plan import Cell, Variant
from quantbench.core.quantization import Blocks, Dynamic, Float32, Scheme, Static, WeightOnly
from quantbench.core.refusals import refusal
from quantbench.core.results import Timing
from quantbench.core.stats import ratio_estimate, ratio_per_round
from quantbench.core.vocabulary import Operator
from quantbench.protocols import Array, Inputs, Outputs, SessionOptions

RESULT = Path("benchmarks/results/quantization_schemes.md")
BASE = "distilbert-base"
DEMOS = {
    "bundled:questions": (
        "question-answering",
        {"question": "question", "context": "context"},
        "answers",
    ),
    "bundled:digits": ("image-classification", {"primary": "image"}, "labels"),
}
EXPORTS = (
    *(Export(opset=opset) for opset in (11, 14, 17, 20)),
    *(Export(opset=opset, exporter="dynamo") for opset in (18, 20, 23)),
)
# The export of which every scheme is made.
FULL = Export(opset=17)
LEVEL = 99
NUM_CALIBRATED = 16
NUM_COMPARED = 8
VOCABULARY_SIZE = 30_522
REFERENCE = "fp32"


def _static(method: CalibrationMethod = "minmax", **fields: Any) -> Static:
    calibration = Calibration(method=method, num_calibration_samples=NUM_CALIBRATED)
    return Static(**{"operators": ("MatMul",), "calibration": calibration} | fields)


def _weight_only(**blocks: Any) -> WeightOnly:
    return WeightOnly(operators=("MatMul",), weight_only=Blocks(**blocks))


# In fused files the projections of queries, keys and values are in `Attention`.
_FUSED_OPERATORS: tuple[Operator, ...] = ("Attention", "MatMul")
FUSED = "fused, "

SCHEMES: dict[str, Scheme] = {
    "dynamic S8": Dynamic(operators=("MatMul",)),
    "dynamic S8, per channel": Dynamic(operators=("MatMul",), per_channel=True),
    "dynamic S8, reduce_range": Dynamic(operators=("MatMul",), reduce_range=True),
    "dynamic U8": Dynamic(operators=("MatMul",), weight_type="uint8"),
    "QDQ U8S8": _static(),
    "QDQ U8S8, per channel": _static(per_channel=True),
    "QDQ U8S8, moving average": _static("moving_average"),
    "QDQ U8S8, entropy": _static("entropy"),
    "QDQ U8S8, percentile": _static("percentile"),
    "QDQ U8S8, activation MatMuls": _static(quantize_activation_matmul=True),
    "QDQ U8S8, Add too": _static(operators=("Add", "MatMul")),
    "QDQ U8S8, SmoothQuant 0.5": _static(smooth_quant_alpha=0.5),
    "QDQ U8S8, SmoothQuant 0.75": _static(smooth_quant_alpha=0.75),
    "QDQ U8U8": _static(weight_type="uint8"),
    "QDQ S8S8": _static(activation_type="int8"),
    "QOperator U8S8": _static(quant_format="QOperator"),
    "QOperator U8S8, per channel": _static(quant_format="QOperator", per_channel=True),
    "QOperator S8S8": _static(quant_format="QOperator", activation_type="int8"),
    "weight-only 8 bits": _weight_only(bits=8),
    "weight-only 4 bits": _weight_only(bits=4),
    "weight-only 4 bits, level 1": _weight_only(bits=4, accuracy_level=1),
    FUSED + "dynamic S8": Dynamic(operators=_FUSED_OPERATORS),
    FUSED + "dynamic S8, per channel": Dynamic(operators=_FUSED_OPERATORS, per_channel=True),
    FUSED + "QDQ U8S8": _static(operators=_FUSED_OPERATORS),
    FUSED + "QDQ U8S8, SmoothQuant 0.5": _static(
        operators=_FUSED_OPERATORS, smooth_quant_alpha=0.5
    ),
    FUSED + "weight-only 8 bits": _weight_only(bits=8),
}
MAIN = (
    "dynamic S8",
    "dynamic S8, per channel",
    "QDQ U8S8",
    "QDQ U8S8, per channel",
    "QOperator U8S8",
    "weight-only 8 bits",
    "weight-only 4 bits",
    FUSED + "dynamic S8",
    FUSED + "QDQ U8S8",
)


@dataclass(frozen=True)
class Model:
    """A model with what it is exported, calibrated, compared and timed with."""

    name: str
    directory: Path
    auto_class: str
    traced: tuple[Inputs, ...]
    calibrated: tuple[Inputs, ...]
    compared: tuple[Inputs, ...]
    timed: Inputs


@dataclass(frozen=True)
class Row:
    """One scheme of one export. `problem` says why there is no file, or why it does not run.

    `max_error` and `mean_error` are over all outputs, relative to the largest fp32 output;
    `sqnr_db` is infinite for equal outputs. `time_ratio` is fp32's time over this one's.
    """

    export: str
    scheme: str
    problem: str | None = None
    num_bytes: int | None = None
    max_error: float | None = None
    mean_error: float | None = None
    sqnr_db: float | None = None
    time_ratio: float | None = None


def cases(*, every: bool, only: str) -> dict[Export, list[str]]:
    """The schemes that are made of each export, in the order of the table.

    Args:
        every: all schemes of all exports.
        only: a part of the name of an export or scheme; empty for all.
    """
    chosen = {
        export: [
            scheme
            for scheme in SCHEMES
            if (every or export == FULL or scheme in MAIN)
            and (only in scheme or only in export.name)
        ]
        for export in EXPORTS
    }
    return {export: schemes for export, schemes in chosen.items() if schemes}


def errors(found: Sequence[Outputs], wanted: Sequence[Outputs]) -> dict[str, Any]:
    """Errors of outputs against those of fp32, as fields of `Row`.

    SQNR is 10 log10 of the power of the wanted outputs over that of the difference.
    """
    exact, other = _flat(wanted), _flat(found)
    difference = np.abs(other - exact)
    noise, largest = float(np.sum(difference**2)), float(np.abs(exact).max())
    return {
        "max_error": float(difference.max()) / largest,
        "mean_error": float(difference.mean()) / largest,
        "sqnr_db": math.inf if noise == 0 else 10 * math.log10(float(np.sum(exact**2)) / noise),
    }


def markdown(rows: Iterable[Row], fp32_bytes: int) -> str:
    """The rows of one model as a table; sizes also as a part of fp32's."""
    lines = [
        "| export | scheme | MB | of fp32 | max error | mean error | SQNR, dB | fp32 time ÷ its |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.problem is not None or row.num_bytes is None:
            lines.append(f"| {row.export} | {row.scheme} | {row.problem} | | | | | |")
            continue
        cells = [
            f"{row.num_bytes / 1e6:.1f}",
            f"{row.num_bytes / fp32_bytes:.2f}",
            _number(row.max_error, "{:.2%}"),
            _number(row.mean_error, "{:.3%}"),
            _number(row.sqnr_db, "{:.1f}"),
            _number(row.time_ratio, "{:.2f}"),
        ]
        lines.append(f"| {row.export} | {row.scheme} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _flat(outputs: Sequence[Outputs]) -> Array:
    arrays = [array.astype(np.float64).ravel() for item in outputs for array in item.values()]
    return np.concatenate(arrays)


def main() -> None:
    """Make, compare and time all cases; write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = (BASE, *DEMOS)
    parser.add_argument("--model", nargs="+", choices=names, default=names)
    parser.add_argument("--only", default="", help="a part of an export's or scheme's name")
    parser.add_argument("--all", action="store_true", help="every scheme of every export")
    parser.add_argument("--quick", action="store_true", help="a base model of one thin layer")
    parser.add_argument("--duration", type=float, default=1.0, help="seconds per file to time")
    parser.add_argument("--work", type=Path, default=Path("runs/quantization-schemes"))
    parser.add_argument("--out", type=Path, default=RESULT, help="the Markdown file to write")
    asked = parser.parse_args()
    cpu = environment.read_cpu()
    threads = cpu.allowed_cores
    kind = " **A quick run: the base model is not of base size.**" if asked.quick else ""
    blocks = [
        "# Quantization schemes",
        f"Measured on {cpu.model}, {threads} threads, {asked.duration:g} s per file, by "
        f"`python benchmarks/quantization_schemes.py`.{kind} Errors are relative to the largest "
        f"fp32 output, over {NUM_COMPARED} samples; calibrated on {NUM_CALIBRATED}.",
    ]
    for name in asked.model:
        work = asked.work / ("quick" if asked.quick else "full") / name.replace(":", "-")
        model = base_model(work, quick=asked.quick) if name == BASE else demo_model(name)
        rows: list[Row] = []
        for export, schemes in cases(every=asked.all, only=asked.only).items():
            rows += measured(model, export, schemes, work, threads, asked.duration)
        fp32 = next((r.num_bytes for r in rows if r.scheme == REFERENCE and r.num_bytes), 1)
        blocks += [f"## {name}", markdown(rows, fp32)]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    print(asked.out.read_text(encoding="utf-8"))


def base_model(work: Path, *, quick: bool) -> Model:
    """DistilBERT-base with random weights, and random tokens."""
    directory = work / "model"
    if not directory.exists():
        import torch
        import transformers

        torch.manual_seed(0)
        thin = {"dim": 64, "hidden_dim": 128, "n_layers": 1, "n_heads": 2} if quick else {}
        config = transformers.DistilBertConfig(vocab_size=VOCABULARY_SIZE, **thin)
        built = transformers.DistilBertForQuestionAnswering(config)
        with torch.no_grad():
            for parameter in built.parameters():  # equal tensors would be shared in the file
                parameter.add_(torch.randn_like(parameter) * 0.02)
        built.save_pretrained(directory)

    def tokens(batch: int, length: int, seed: int) -> Inputs:
        ids = np.random.default_rng(seed).integers(1000, VOCABULARY_SIZE, (batch, length))
        return {"input_ids": ids, "attention_mask": np.ones((batch, length), np.int64)}

    return Model(
        name=BASE,
        directory=directory,
        auto_class=registry.task("question-answering").spec.auto_class,
        traced=(tokens(2, 11, 0), tokens(1, 16, 1)),
        calibrated=tuple(tokens(1, 128, 100 + n) for n in range(NUM_CALIBRATED)),
        compared=tuple(tokens(1, 64 + 16 * n, 200 + n) for n in range(NUM_COMPARED)),
        timed=tokens(1, 128, 300),
    )


def demo_model(name: str) -> Model:
    """A model that comes with quantbench, and samples of its data."""
    from quantbench.worker.opened import open_config

    task, keys, references = DEMOS[name]
    data = {
        "task": task,
        "model_name_or_path": name,
        "quantization_approach": "static",
        "dataset": {
            "path": name,
            "data_keys": keys,
            "ref_keys": [references],
            "calibration_split": "train",
        },
    }
    opened = open_config(SweepConfig.model_validate_json(json.dumps(data)).model_dump_json())
    assert opened.calibrated is not None
    run, rng = opened.task, np.random.default_rng(0)
    return Model(
        name=name,
        directory=opened.source.directory,
        auto_class=registry.task(task).spec.auto_class,
        traced=(run.dummy_inputs(2, 11, rng), run.dummy_inputs(1, 16, rng)),
        calibrated=_samples(run.encode, opened.calibrated.row, NUM_CALIBRATED),
        compared=_samples(run.encode, opened.evaluated.row, NUM_COMPARED),
        timed=run.dummy_inputs(1, 128, rng),
    )


def _samples(
    encode: Callable[[Mapping[str, Any]], Sequence[Any]],
    row: Callable[[int], Mapping[str, Any]],
    count: int,
) -> tuple[Inputs, ...]:
    """The first input of each of the first rows."""
    return tuple(encode(row(number))[0].inputs for number in range(count))


def measured(
    model: Model, export: Export, schemes: Sequence[str], work: Path, threads: int, duration: float
) -> list[Row]:
    """The rows of one export, fp32 first; read from `work` if they are there.

    The files are removed when they were timed: the rows are what is kept.
    """
    wanted = [REFERENCE, *schemes]
    kept = work / f"{export.name}.json"
    known = [Row(**item) for item in json.loads(kept.read_text())] if kept.exists() else []
    if set(wanted) <= {row.scheme for row in known}:
        return [row for row in known if row.scheme in wanted]
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        made = _made(model, export, schemes, Path(folder), threads)
        files = {name: Path(folder) / f"{name}.onnx" for name, row in made.items()}
        usable = {name: files[name] for name, row in made.items() if row.problem is None}
        ratios = _time_ratios(model, usable, threads, duration, Path(folder))
    rows = [Row(**(asdict(row) | {"time_ratio": ratios.get(name)})) for name, row in made.items()]
    others = [row for row in known if row.scheme not in wanted]
    kept.write_text(json.dumps([asdict(row) for row in (*rows, *others)], indent=1))
    return rows


def _made(
    model: Model, export: Export, schemes: Sequence[str], folder: Path, threads: int
) -> dict[str, Row]:
    from quantbench.stages.export import export_onnx

    exported = folder / f"{REFERENCE}.onnx"
    print(f"{model.name}: {export.name}", flush=True)
    export_onnx(
        model.directory, model.auto_class, export.opset, model.traced, exported, export.exporter
    )
    wanted = _outputs(exported, model.compared, threads)
    rows = {REFERENCE: Row(export.name, REFERENCE, num_bytes=exported.stat().st_size)}
    for name in schemes:
        print(f"  {name}", flush=True)
        scheme, path = SCHEMES[name], folder / f"{name}.onnx"
        problem = refusal(scheme, export.opset)
        if problem is not None:
            rows[name] = Row(export.name, name, f"refused: {problem}")
            continue
        try:
            source, scheme = _prepared(exported, name, model)
            _quantize(source, scheme, model, path)
            found = _outputs(path, model.compared, threads)
        except QuantbenchError as error:
            rows[name] = Row(export.name, name, f"failed: {' '.join(str(error).split())}")
            continue
        rows[name] = Row(export.name, name, num_bytes=path.stat().st_size, **errors(found, wanted))
    return rows


def _prepared(exported: Path, name: str, model: Model) -> tuple[Path, Scheme]:
    """The float file that a scheme is made of, and what of the scheme can act."""
    from quantbench.stages.optimize import optimize_model

    scheme, _ = effective(SCHEMES[name])
    assert not isinstance(scheme, Float32)
    variant = Variant(export=FULL, fused=name.startswith(FUSED), quantization=scheme)
    preparation = variant.source.preparation
    if not variant.source.is_prepared:
        return exported, scheme
    path = exported.with_name(f"{preparation.name}.onnx")
    if not path.exists():
        config = json.loads((model.directory / "config.json").read_text())
        optimize_model(exported, preparation, model.traced, path, config, model.calibrated)
    return path, scheme


def _quantize(source: Path, scheme: Scheme, model: Model, path: Path) -> None:
    """Quantize a file, with ranges of its own, and run it at every level."""
    from quantbench.core.timing_defaults import OPTIMIZATION_LEVELS
    from quantbench.stages.calibrate import collect_ranges
    from quantbench.stages.check import check_file
    from quantbench.stages.quantize import quantize_model

    ranges = None
    if isinstance(scheme, Static):
        method = scheme.calibration.method
        ranges = source.with_name(f"{source.stem}-{method}-{'-'.join(scheme.operators)}.json")
        if not ranges.exists():
            samples = model.calibrated
            collect_ranges(source, samples, scheme.operators, scheme.calibration, ranges)
    quantize_model(source, scheme, ranges, path)
    check_file(path, OPTIMIZATION_LEVELS, model.traced[0], 1)


def _outputs(path: Path, given: Sequence[Inputs], threads: int) -> list[Outputs]:
    session = registry.runtime("onnxruntime").open(path, SessionOptions(threads, LEVEL))
    found = [session.bind(inputs)() for inputs in given]
    session.close()
    return found


def _time_ratios(
    model: Model, files: Mapping[str, Path], threads: int, duration: float, scratch: Path
) -> dict[str, float]:
    """The time of fp32 over that of each other file."""
    from quantbench.stages.arm_processes import ArmSpec, ArmStarter
    from quantbench.stages.time import Comparison, machine_lock, time_cell

    options = SessionOptions(threads, LEVEL)
    arms = tuple(
        ArmSpec(name, "onnxruntime", path, options, () if name == REFERENCE else (REFERENCE,))
        for name, path in files.items()
    )
    length = next((a.shape[1] for a in model.timed.values() if a.ndim == 2), None)
    comparison = Comparison(Cell(batch_size=1, input_length=length), arms, REFERENCE)
    args = TimeBenchmarkArgs(duration=duration)
    cpus = environment.pinned_cpus(threads)
    lock = machine_lock(lambda _, text: print(f"  {text}", flush=True))
    with lock, contextlib.closing(ArmStarter()) as start:
        timed = time_cell(comparison, model.timed, args, cpus, 0, lambda *_: None, scratch, start)
    reference = timed[REFERENCE]
    assert isinstance(reference, Timing), reference
    ratios: dict[str, float] = {}
    for name, timing in timed.items():
        if isinstance(timing, Timing) and name != REFERENCE:
            slower = ratio_estimate(ratio_per_round(timing.blocks, reference.blocks))
            if slower is not None:
                ratios[name] = 1 / slower
    return ratios


if __name__ == "__main__":
    main()
