"""The top of a card: what was tested, what to deploy and why, the three steps, the picture."""

from __future__ import annotations

from quantbench.analysis.names import reference_name
from quantbench.analysis.points import accuracy_speed_points
from quantbench.analysis.recommend import Recommendation
from quantbench.core.results import SweepResult
from quantbench.core.summary import ArmSummary, CellSummary, Ratio, SweepSummary
from quantbench.reports import paths
from quantbench.reports.markdown import code, picture, table, text
from quantbench.reports.wording import (
    NOTHING,
    configuration,
    drop,
    megabytes,
    model_title,
    number,
    overall_speedup,
    plural,
    ratio,
    sentence,
    speedup,
)


def summary_blocks(
    result: SweepResult, summary: SweepSummary, recommendation: Recommendation
) -> list[str]:
    """The blocks above the header lines."""
    blocks = [_title(result), *told(result, summary, recommendation)]
    if accuracy_speed_points(summary):
        alt = f"Drop in {summary.primary_metric} against speed-up over {summary.original_name}"
        blocks.append(picture(paths.PICTURE_STEM, alt))
    return blocks


def told(result: SweepResult, summary: SweepSummary, recommendation: Recommendation) -> list[str]:
    """What was tested, what to deploy and why, and what each step gave: the blocks in words."""
    blocks = [_tested(result, summary)]
    if not summary.measured:
        blocks.append(
            "This card was imported: its numbers are means without their raw data, so there are "
            "no intervals, and nothing is recommended."
        )
    else:
        blocks.append(_advice(summary, recommendation))
        blocks += _steps(summary, recommendation)
    return blocks


def _title(result: SweepResult) -> str:
    name = model_title(result.config.model_name_or_path)
    return f"# {text(name)}, quantized for CPU"


def _tested(result: SweepResult, summary: SweepSummary) -> str:
    config = result.config
    rows, files = len(summary.rows), len(summary.distinct_rows)
    what = plural(rows, "configuration")
    if summary.measured and files != rows:
        what += f", {plural(files, 'distinct quantized file')} with results,"
    compared = " and compared with the original in PyTorch."
    if config.is_onnx_file():
        compared = (
            ". The original is the given ONNX file in ONNX Runtime, fp32, with all optimizations; "
            "it was not compared with the PyTorch model that it came from."
        )
    sentences = [
        f"{what} of {code(config.model_name_or_path)} for {text(config.task)}, run by "
        f"{text(config.framework)}{compared}"
    ]
    if result.subject:
        count, total = result.subject.num_eval_samples, result.subject.eval_num_rows
        how = "drawn at random" if config.sampling == "random" else "the first ones"
        share = "all" if count == total else f"{count:,} ({how}) of the {total:,}"
        sentences.append(
            f"Accuracy was measured on {share} samples of the split "
            f"{code(config.dataset.eval_split)} of {code(config.dataset.path)}"
            + (f" ({count:,})." if count == total else ".")
        )
    if result.environment:
        cells = plural(len(summary.cells), "shape")
        sentences.append(
            f"Time was measured for {cells} of input on {text(result.environment.cpu.model)} with "
            f"{plural(result.environment.num_threads, 'thread')}."
        )
    return " ".join(sentences)


def _advice(summary: SweepSummary, recommendation: Recommendation) -> str:
    lines = [f"**Caution**: {text(caution)}" for caution in recommendation.cautions]
    lines += [f"**Warning**: {sentence(text(warning))}" for warning in summary.warnings]
    lines.append(f"**Recommended: {_choice(summary, recommendation)}")
    arm = _chosen(summary, recommendation)
    if arm is not None and arm.speedup is not None and not arm.speedup.shared:
        metric = next((m for m in arm.metrics if m.name == recommendation.metric), None)
        where = " (geometric mean over all shapes)" if len(summary.cells) > 1 else ""
        faster = f"It is {ratio(arm.speedup)} times as fast as {summary.original_name}{where}"
        if metric is not None:
            faster += f", and {text(metric.name)} drops by {drop(metric)} points"
        lines.append(f"{faster}. Brackets are 95 % intervals.")
    lines.append(f"Why: {sentence(text(recommendation.why))}")
    lines += [
        f"Row {item.row} measured faster ({item.speedup:.2f} times) and its drop of "
        f"{number(item.drop)} points is inside the margin, but the upper end of its interval, "
        f"{number(item.high)}, is not: "
        + (
            "no reasonable number of samples would settle it."
            if item.samples_to_settle is None
            else f"roughly {_round(item.samples_to_settle):,} samples would settle it."
        )
        for item in recommendation.unsettled
    ]
    untold = recommendation.num_unsettled - len(recommendation.unsettled)
    if untold:
        lines.append(f"The same holds for {plural(untold, 'row')} more, less fast than these.")
    if recommendation.sample_size:
        lines.append(recommendation.sample_size)
    return "\n>\n".join(f"> {line}" for line in lines)


def _choice(summary: SweepSummary, recommendation: Recommendation) -> str:
    if recommendation.choice == "row":
        row = next(row for row in summary.rows if row.number == recommendation.row)
        return f"row {row.number}**: {configuration(row)}"
    original = summary.original_name
    return {
        "reference": f"keep fp32**, in {_runtime(original, recommendation.reference_id)}",
        "original": f"keep the original**, {original}",
        "none": "nothing**",
    }[recommendation.choice]


def _runtime(original_name: str, reference_id: str | None) -> str:
    return reference_name(original_name, reference_id or "").replace(" fp32", "")


def _chosen(summary: SweepSummary, recommendation: Recommendation) -> ArmSummary | None:
    if recommendation.choice == "row":
        return next(row.arm for row in summary.rows if row.number == recommendation.row)
    if recommendation.choice == "reference":
        return summary.reference(recommendation.reference_id)
    return None


def _steps(summary: SweepSummary, recommendation: Recommendation) -> list[str]:
    """Original, ONNX Runtime fp32 where that is not the original, quantized: each step's gain."""
    shown = [row for row in summary.distinct_rows if row.arm and row.arm.speedup]
    if recommendation.choice == "row":
        row = next(row for row in summary.rows if row.number == recommendation.row)
        name = f"quantized (row {row.number})"
    elif shown:
        row = max(
            shown, key=lambda item: item.arm.speedup.value if item.arm and item.arm.speedup else 0.0
        )
        name = f"quantized (row {row.number}, the fastest; not recommended)"
    else:
        return []
    reference = summary.reference(row.reference_id)
    steps = [(summary.original_name, summary.original)]
    if reference is not summary.original:
        reference_id = reference.id if reference else row.reference_id or ""
        steps.append((reference_name(summary.original_name, reference_id), reference))
    steps.append((name, row.arm))
    place = _telling_shape(summary, row.arm)
    is_offline = summary.scenario == "offline"
    head = ["", "samples/s" if is_offline else "p50, ms", "this step [95 %]", "speedup [95 %]"]
    if len(summary.cells) > 1:
        head += ["this step, all shapes", "speedup, all shapes"]
    head += [*map(text, summary.metric_names), "same answers", "file, MB", "memory, MB"]
    body = [_step(label, arm, summary, place, len(head)) for label, arm in steps]
    most = ", where the last one has most samples/s" if is_offline and place else ""
    return [
        f"What each step gave, at {summary.cells[place].name}{most}. *This step* is over the line "
        f"above, *speedup* over {summary.original_name}:",
        table(head, body),
    ]


def _telling_shape(summary: SweepSummary, arm: ArmSummary | None) -> int:
    """The place of the first shape; offline, of that with the highest throughput."""
    if summary.scenario != "offline" or arm is None:
        return 0
    found = [cell.optimized.throughput_per_s if cell.optimized else 0.0 for cell in arm.cells]
    return found.index(max(found))


def _step(
    label: str, arm: ArmSummary | None, summary: SweepSummary, place: int, width: int
) -> list[str]:
    """A line of the steps: the first is 1, the second is over it, the third over the second."""
    if arm is None:
        return [label, *[NOTHING] * (width - 1)]
    cell = arm.cells[place] if place < len(arm.cells) else None
    latency = cell.optimized if cell else None
    is_first = arm is summary.original
    # A reference is its own reference: what it gave is over the original.
    is_second = any(arm is reference for reference in summary.references)
    cells = [label]
    if summary.scenario == "offline":
        cells.append(number(latency.throughput_per_s if latency else None))
    else:
        cells.append(number(latency.p50_ms if latency else None))
    if is_first:
        cells += ["1", "1"]
    else:
        cells += [ratio(_gained(cell, is_second)), speedup(cell)]
    if len(summary.cells) > 1 and is_first:
        cells += ["1", "1"]
    elif len(summary.cells) > 1:
        cells += [ratio(_gained(arm, is_second)), overall_speedup(arm)]
    values = {metric.name: metric.optimized for metric in arm.metrics}
    cells += [number(values.get(name), 3) for name in summary.metric_names]
    cells.append(NOTHING if arm.agreement is None else f"{arm.agreement:.1%}")
    return [*cells, megabytes(arm.num_bytes), megabytes(cell.peak_rss_bytes if cell else None)]


def _gained(found: CellSummary | ArmSummary | None, is_second: bool) -> Ratio | None:
    """What a step gave over the one before."""
    if found is None:
        return None
    return found.speedup if is_second else found.quantization_speedup


def _round(count: int) -> int:
    """Two leading digits: more would claim too much."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return round(count / step) * step
