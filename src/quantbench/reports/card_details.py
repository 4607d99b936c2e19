"""Below the tables: what each row did, what failed or changed nothing, noise and method."""

from __future__ import annotations

from quantbench.analysis.names import reference_name
from quantbench.core.exporters import EXPORT_TOLERANCE
from quantbench.core.results import NodeCounts, PreparedFacts
from quantbench.core.summary import (
    GIVEN_FILE,
    ArmSummary,
    Failure,
    Latency,
    Noise,
    SweepSummary,
)
from quantbench.reports.inert import group_inert, group_warnings, row_list
from quantbench.reports.markdown import code, details, table, text
from quantbench.reports.wording import (
    NOTHING,
    configuration,
    megabytes,
    number,
    plural,
    ratio,
    row_name,
    sentence,
)

# Operator types of ONNX Runtime that compute with, or convert to and from, integers.
_INTEGER_KERNELS = ("Quantize", "Integer", "QLinear", "QGemm", "QAttention")
_LONGEST_ERROR = 300


def what_rows_did(summary: SweepSummary) -> str:
    """Per distinct file: size, opset, nodes per operator, what the session ran, and the flips."""
    head = ["row", "file, MB", "opset", "nodes quantized", "integer kernels that ran"]
    head += [f"{text(name)}: worse / better" for name in summary.metric_names]
    head.append("same answers")
    body = [_did(row_name(row), row.arm, summary) for row in summary.distinct_rows if row.arm]
    fp32 = [("fp32", arm) for arm in summary.references]
    if summary.original_name == GIVEN_FILE:  # so the original is a file too
        arms = [(summary.original_name, summary.original), *_named(summary)]
        fp32 = [(name, arm) for name, arm in arms if arm and arm.num_bytes]
    return table(head, [*(_did(name, arm, summary) for name, arm in fp32), *body])


def idle_rows(summary: SweepSummary) -> str:
    """What failed or was refused, which rows share a file, and which parameters cannot act."""
    blocks = [
        _list("Failed or refused:", _failed(summary)),
        _list("Without all comparisons, as what they are compared with failed:", _alone(summary)),
        _list("Rows that share a file:", _shared(summary)),
        _list("Parameters that change nothing:", _inert(summary)),
        _list("Warnings:", _warnings(summary)),
    ]
    found = [block for block in blocks if block]
    return "\n\n".join(found) or "None: every row has a file of its own, and all its numbers."


def noise_floor(summary: SweepSummary) -> str:
    """A second copy of the reference against the first, per cell."""
    if not summary.noise:
        return (
            "No second copy of the reference was timed: how equal equal files measure is not known."
        )
    body = [[noise.cell.name, ratio(noise.ratio), _valid(noise)] for noise in summary.noise]
    text = (
        "A second copy of ONNX Runtime fp32 was timed as if it were a configuration. Its time over "
        "the first copy's should be 1; differences of this size between rows mean nothing."
    )
    head = ["shape", "copy / copy [95 %]", "valid"]
    if len({noise.cell for noise in summary.noise}) < len(summary.noise):
        text += (
            " Not all rows were timed in one session: some were measured earlier, or all together "
            "would not have fit in memory. Each session has a first and a second copy of its own."
        )
        head.append("rows")
        for line, noise in zip(body, summary.noise, strict=True):
            line.append(", ".join(map(str, noise.rows)) or "none")
    return f"{text}\n\n{table(head, body)}"


def _valid(noise: Noise) -> str:
    """Whether a session may be believed; without an interval nobody knows."""
    if noise.ratio.low is None:
        return "unknown: too few process sets"
    return "**no**" if noise.invalid else "yes"


def method(summary: SweepSummary) -> str:
    """How the numbers were made, in the words of a careful reader."""
    lines = [
        "* **Drops** are original minus optimized on the same samples, in points; positive is "
        "worse. Right/wrong metrics have Tango's score interval for paired proportions, others a "
        'paired bootstrap; samples that share a context count as clusters. "Worse / better" '
        "counts the samples whose score fell and rose; p is McNemar's exact test.",
        "* **Times**: every configuration is a process of its own, and only one runs at a time. "
        "In each round all run one block in shuffled order, the reference first and last. After a "
        "few rounds all processes are started anew: fresh processes of one file differ by 1 to 5 % "
        "for as long as they live. A ratio is the mean over these process sets of the median over "
        "rounds of the blocks' medians relative to the reference; its interval is Student's t over "
        "the sets, widened for having looked several times whether it was narrow enough to stop.",
        "* A percentile is printed only where there are enough forwards for it: 64 for p90, 130 "
        "for p95, 662 for p99. States are counted in the medians of blocks: two where at least a "
        "fifth of them is at least 10 % slower than the rest, with nothing in between. Ratios hold "
        "all the same, as they are of blocks that ran at the same time; milliseconds do not.",
        "* The recommendation is one of several, chosen on the samples that its drop is reported "
        "on. So the upper end that it goes by is at a level at which those of all distinct files "
        "hold together at 95 % (Bonferroni); for one file or two that is the 95 % interval's own.",
        f"* Version of the timing statistics: {code(summary.method_version)}.",
    ]
    return "\n".join(lines)


def latency_tables(summary: SweepSummary) -> str:
    """Percentiles of every distinct arm in every cell, folded."""
    blocks = []
    head = ["", "p50, ms", "p90, ms", "p95, ms", "p99, ms", "forwards/s", "forwards timed"]
    head += ["states", "peak memory, MB"]
    rows = [(f"row {row.number}", row.arm) for row in summary.distinct_rows]
    for place, cell in enumerate(summary.cells):
        arms = [(summary.original_name, summary.original), *_named(summary), *rows]
        cells = [(name, arm.cells[place]) for name, arm in arms if arm and place < len(arm.cells)]
        body = [
            [name, *_latency(found.optimized), megabytes(found.peak_rss_bytes)]
            for name, found in cells
            if found.optimized is not None
        ]
        blocks.append(details(cell.name.capitalize(), table(head, body)))
    return "\n\n".join(blocks)


def _named(summary: SweepSummary) -> list[tuple[str, ArmSummary | None]]:
    if len(summary.references) == 1 or summary.original_name == GIVEN_FILE:
        return [(reference_name(summary.original_name, arm.id), arm) for arm in summary.references]
    return [(f"fp32 {arm.id.rsplit('float32-', 1)[-1]}", arm) for arm in summary.references]


def _latency(latency: Latency) -> list[str]:
    percentiles = (latency.p50_ms, latency.p90_ms, latency.p95_ms, latency.p99_ms)
    forwards = NOTHING if latency.num_forwards is None else f"{latency.num_forwards:,}"
    states = ", ".join(f"{number(mode.median_ms)} ms ({mode.share:.0%})" for mode in latency.modes)
    return [
        *map(number, percentiles),
        number(latency.forwards_per_s),
        forwards,
        f"**2**: {states}" if latency.is_bimodal else str(len(latency.modes)),
    ]


def _did(name: str, arm: ArmSummary, summary: SweepSummary) -> list[str]:
    nodes = [_nodes(operator, counts) for operator, counts in sorted(arm.nodes.items())]
    kernels = [
        f"{code(kernel, in_table=True)} {count}"
        for kernel, count in sorted(arm.executed_nodes.items())
        if any(mark in kernel for mark in _INTEGER_KERNELS)
    ]
    cells = [
        name,
        megabytes(arm.num_bytes),
        NOTHING if arm.opset is None else str(arm.opset),
        "<br>".join(
            [
                *_exported(arm.max_abs_difference),
                *_prepared(arm.prepared),
                *(item for item in nodes if item),
            ]
        )
        or "none",
        "<br>".join(kernels) or ("none" if arm.executed_nodes else NOTHING),
    ]
    metrics = {metric.name: metric for metric in arm.metrics}
    for metric_name in summary.metric_names:
        metric = metrics.get(metric_name)
        flips = NOTHING if metric is None else f"{metric.worse} / {metric.better}"
        if metric is not None and metric.mcnemar_p is not None:
            flips += f" (p = {metric.mcnemar_p:.2g})"
        cells.append(flips)
    same = NOTHING if arm.agreement is None else f"{arm.agreement:.1%}"
    return [*cells, same + "".join(f" ({distance})" for distance in _distances(arm))]


def _distances(arm: ArmSummary) -> list[str]:
    """How far the outputs are from the original's, where the task has what says it."""
    found: list[str] = []
    if arm.cosine is not None:
        found.append(f"vectors: cosine {arm.cosine:.4f}")
    if arm.kl_divergence_nats is not None:
        found.append(f"KL divergence of classes: {arm.kl_divergence_nats:.2g} nats")
    if arm.logit_rms is not None:
        found.append(f"logits: RMS difference {arm.logit_rms:.2g}")
    return found


def _prepared(found: PreparedFacts | None) -> list[str]:
    """What was done to the float file before, and how near its outputs stayed."""
    if found is None:
        return []
    did = [f"{plural(found.num_masks, 'mask')} clamped"] if found.num_masks else []
    smoothed = found.num_folded + found.num_multiplied
    if smoothed:
        did.append(
            f"{plural(smoothed, 'activation')} smoothed ({found.num_multiplied:,} by a new node)"
        )
    if found.fused:
        names = (f"{code(name, in_table=True)} {n}" for name, n in sorted(found.fused.items()))
        did.append(f"fused to {', '.join(names)}")
    changed = "; ".join(did) or "nothing to do"
    difference = found.largest_difference
    outputs = f"outputs within {difference:.1g}" if difference else "outputs unchanged"
    return [f"float file first: {changed} ({outputs})"]


def _nodes(operator: str, counts: NodeCounts) -> str:
    """What became of the nodes of one type; nothing where the model has none."""
    if not counts.total:
        return ""
    written = f"{code(operator, in_table=True)} {counts.quantized} of {counts.total}"
    if counts.left:
        written += f", {counts.left} left"
    if counts.matched:
        written += f" ({counts.matched} matched by exclusions, {counts.excluded} excluded)"
    return written


def _exported(max_abs_difference: float | None) -> list[str]:
    """How near an exported file is to PyTorch, and how near it had to be."""
    if max_abs_difference is None:
        return []
    return [
        f"export within {max_abs_difference:.1g} of PyTorch "
        f"(allowed: {EXPORT_TOLERANCE:g} of the largest output, or of 1)"
    ]


def _list(title: str, lines: list[str]) -> str:
    return "\n".join([title, *lines]) if lines else ""


def _failed(summary: SweepSummary) -> list[str]:
    lines: list[str] = []
    for row in summary.rows:
        reasons = [f"refused: {sentence(text(row.refused))}"] if row.refused else []
        if row.arm is not None and row.shares_with is None:
            reasons += [_failure(item) for item in row.arm.failures if item.of is None]
        lines += [f"* row {row.number} ({configuration(row)}) {reason}" for reason in reasons]
    for name, arm in [(summary.original_name, summary.original), *_named(summary)]:
        own = [item for item in (arm.failures if arm else ()) if item.of is None]
        if summary.original_name == GIVEN_FILE and summary.original is not arm:
            # A reference is of the same file, and lacks it for the same reason.
            told = summary.original.failures if summary.original else ()
            own = [item for item in own if item not in told]
        lines += [f"* {name} {_failure(failure)}" for failure in own]
    return lines


def _alone(summary: SweepSummary) -> list[str]:
    """Which rows lack numbers because of a failure of what they are compared with."""
    rows: dict[Failure, list[int]] = {}
    for row in summary.rows:
        for item in row.arm.failures if row.arm else ():
            if item.of is not None:
                rows.setdefault(item, []).append(row.number)
    return [
        f"* {row_list(numbers)}: {text(item.of or '')} {_failure(item)}"
        for item, numbers in rows.items()
    ]


def _shared(summary: SweepSummary) -> list[str]:
    by_owner: dict[str, list[int]] = {}
    for row in summary.rows:
        if row.shares_with is not None:
            by_owner.setdefault(row.shares_with, []).append(row.number)
    return [
        f"* {row_list(numbers)}: nothing was quantized, the file is the one of ONNX Runtime fp32."
        if owner == "the reference"
        else f"* {row_list(numbers)}: the file is the one of {owner}."
        for owner, numbers in by_owner.items()
    ]


def _inert(summary: SweepSummary) -> list[str]:
    """One line per parameter and reason, with the values and rows that it holds for."""
    everywhere = [
        f"* {code(item.parameter)} {code(item.value)} in every row: {sentence(text(item.reason))}"
        for item in summary.inert
    ]
    notes = group_inert((row.number, row.inert) for row in summary.rows)
    return everywhere + [
        f"* {code(note.parameter)} {', '.join(map(code, note.values))} in {row_list(note.rows)}: "
        f"{sentence(text(note.reason))}"
        for note in notes
    ]


def _warnings(summary: SweepSummary) -> list[str]:
    found = group_warnings((row.number, row.warnings) for row in summary.rows)
    return [f"* {row_list(rows)}: {sentence(text(warning))}" for warning, rows in found.items()]


def _failure(failure: Failure) -> str:
    where = f" at {failure.cell.name}" if failure.cell else ""
    error = " ".join(failure.error.split())
    if len(error) > _LONGEST_ERROR:
        error = f"{error[:_LONGEST_ERROR]} …"
    hint = f" {sentence(text(failure.hint))}" if failure.hint else ""
    return f"failed in {text(failure.stage)}{where}: {sentence(text(error))}{hint}"
