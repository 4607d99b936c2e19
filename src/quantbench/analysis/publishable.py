"""May a row be published? What `push` asks for beyond a model that can be saved."""

from __future__ import annotations

from quantbench.analysis.compare import THE_REFERENCE
from quantbench.analysis.find_row import find_row
from quantbench.core.errors import QuantbenchError
from quantbench.core.hub_names import LICENSES
from quantbench.core.results import SweepResult
from quantbench.core.summary import RowSummary, SweepSummary

# Parts of the license ids of the hub: no derivatives, no commercial use.
_FORBIDS = {
    "nd": "forbids to pass on derived works, and a quantized model may be one",
    "nc": "forbids commercial use",
    "noncommercial": "forbids commercial use",
    "research": "allows research only",
}
_OWN_TERMS = ("llama", "gemma", "grok", "openrail", "rail", "deepfloyd", "apple")


def check_publishable(result: SweepResult, summary: SweepSummary, asked_row: str) -> RowSummary:
    """Refuse a row that has no numbers or no file of its own, and a run that is not finished.

    Args:
        result: the facts of the run.
        summary: of it.
        asked_row: the number of a row, or the start of its trial's id.

    Raises:
        UsageError: there is no such row.
        QuantbenchError: the card of an imported run has no files; or the run is not finished; or
            another row, or the fp32 export, stands for this one.
    """
    if result.plan is None or not summary.measured:
        raise QuantbenchError(
            "this run is an imported card: its model files are not here",
            hint="Measure the model yourself, with the config that the card shows, and push that.",
        )
    row = find_row(summary, asked_row)
    open_rows = [other.number for other in summary.rows if _is_open(other)]
    if open_rows:
        listed = ", ".join(str(number) for number in open_rows)
        raise QuantbenchError(
            f"this run is not finished: measurements of row {listed} are missing",
            hint="Run `quantbench run` with the same config and --out again: it goes on where it "
            "was. Then push.",
        )
    if row.shares_with == THE_REFERENCE:
        raise QuantbenchError(
            f"row {row.number} has no file of its own: nothing is quantized in it, so the fp32 "
            "export stands for it",
            hint="Choose another --row; `quantbench save-model` writes the export.",
        )
    if row.shares_with is not None and row.status != "failed":
        number = row.shares_with.removeprefix("row ")
        raise QuantbenchError(
            f"row {row.number} has no file of its own: it computes the same as {row.shares_with}, "
            "which was measured for both",
            hint=f"Push that one: --row {number}.",
        )
    return row


def license_note(license_id: str | None) -> str | None:
    """What to think of before a model is published; None where its license allows it."""
    check = "see whether you may publish this model"
    if license_id is None or license_id == "unknown":
        return (
            f"the license of the base model is not known (its card names none): {check}, and add "
            "`license:` to the front matter of the run's README.md"
        )
    parts = license_id.lower().replace("_", "-").split("-")
    for part, what in _FORBIDS.items():
        if part in parts:
            return f"the license of the base model, {license_id}, {what}: {check}"
    if license_id == "other" or license_id not in LICENSES:
        return f"the license of the base model, {license_id}, is none that the hub lists: {check}"
    if any(name in license_id for name in _OWN_TERMS):
        return (
            f"the license of the base model, {license_id}, has terms for what is made from it "
            f"(such as its name, notices, or uses): {check}"
        )
    return None


def _is_open(row: RowSummary) -> bool:
    """Whether something of a row has not been tried yet, as opposed to failed."""
    if row.status == "refused":
        return False
    return row.arm is None or any(not failure.was_tried for failure in row.arm.failures)
