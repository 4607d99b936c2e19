"""How numbers, rows and cells are written in a card."""

from __future__ import annotations

from quantbench.core.config import ONNX_SUFFIX
from quantbench.core.summary import ArmSummary, CellSummary, MetricSummary, Ratio, RowSummary
from quantbench.reports.markdown import code, literal

NOTHING = "–"


def model_title(name_or_path: str) -> str:
    """A model's name without its owner or folders; for an ONNX file that of its folder, if any."""
    *folders, name = name_or_path.rstrip("/").split("/")
    if not name.endswith(ONNX_SUFFIX):
        return name
    named = [folder for folder in folders if folder not in ("", ".", "..", "~", "onnx")]
    return named[-1] if named else name.removesuffix(ONNX_SUFFIX) or name


def number(value: float | None, digits: int = 2) -> str:
    """A number, or the sign for nothing. A rounded zero has no sign."""
    if value is None:
        return NOTHING
    written = f"{value:,.{digits}f}"
    return written.removeprefix("-") if float(written.replace(",", "")) == 0 else written


def drop(metric: MetricSummary) -> str:
    """A drop in points with its interval."""
    if metric.low is None or metric.high is None:
        return number(metric.drop)
    return f"{number(metric.drop)} [{number(metric.low)}, {number(metric.high)}]"


def ratio(value: Ratio | None) -> str:
    """A ratio with its interval; one file against itself is 1 and needs none."""
    if value is None:
        return NOTHING
    if value.shared:
        return "1 (same file)"
    if value.low is None or value.high is None:
        return f"{value.value:.2f}"
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def speedup(cell: CellSummary | None) -> str:
    """The speed-up in one cell, marked where its interval is wider than was asked for."""
    if cell is None or cell.speedup is None:
        return NOTHING
    written = ratio(cell.speedup)
    if not cell.unresolved:
        return written
    if cell.half_width is None:
        return f"{written} (unresolved: too few process sets)"
    return f"{written} (unresolved: ±{cell.half_width:.1%})"


def overall_speedup(arm: ArmSummary | None) -> str:
    """The mean speed-up, marked where it is over fewer cells than were planned, or unresolved.

    Then with the widest cell's half-width, if those of all unresolved cells are known.
    """
    if arm is None or arm.speedup is None:
        return NOTHING
    written = ratio(arm.speedup)
    if arm.unresolved:
        widths = [cell.half_width for cell in arm.cells if cell.unresolved]
        known = [width for width in widths if width is not None]
        widest = f": ±{max(known):.1%}" if len(known) == len(widths) else ""
        written += f" (unresolved{widest})"
    if arm.num_compared < len(arm.cells):
        written += f" (in {arm.num_compared} of {plural(len(arm.cells), 'shape')})"
    return written


def first_problem(error: str) -> str:
    """The first line of an error that says something: of a list of problems, the first of them.

    Problems are listed below a head `WHERE: N problems`, numbered, with details on lines of their
    own (`quantbench.core.errors.ConfigError`).
    """
    lines = [line.strip() for line in error.strip().splitlines()]
    if len(lines) < 2 or not lines[1].startswith("1. "):
        return lines[0] if lines else ""
    where = lines[0].rsplit(":", 1)[0]
    path = lines[1].removeprefix("1. ")
    return ": ".join([where, path, *lines[2:3]])


def sentence(written: str) -> str:
    """With a period at its end, unless it ends already."""
    return written if written.endswith((".", "!", "?", "…")) else f"{written}."


def megabytes(num_bytes: int | None) -> str:
    """A file size in units of 10^6 bytes."""
    if num_bytes is None:
        return NOTHING
    return number(num_bytes / 1e6, 1 if num_bytes < 1e8 else 0)


def share(value: float | None) -> str:
    """A share in percent, with a digit after the point."""
    return NOTHING if value is None else f"{value:.1%}"


def row_name(row: RowSummary) -> str:
    """The row's number, and what was measured in its place if anything was."""
    if row.shares_with is None:
        return str(row.number)
    same = "fp32" if row.shares_with == "the reference" else row.shares_with.removeprefix("row ")
    return f"{row.number} (= {same})"


def parameters(row: RowSummary, *, in_table: bool = False) -> list[str]:
    """The values of the swept parameters."""
    return [literal(value, in_table=in_table) for value in row.parameters.values()]


def configuration(row: RowSummary) -> str:
    """The swept parameters in one phrase."""
    parts = [f"{code(name)} {literal(value)}" for name, value in row.parameters.items()]
    return ", ".join(parts) or "the only configuration"


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
