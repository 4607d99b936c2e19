"""Which rows may be published, from the results alone, and what to think of before."""

import pytest

import synthetic
from quantbench.analysis.package import package
from quantbench.analysis.publishable import check_publishable, license_note
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.results import SweepResult


def check(row: str, result: SweepResult | None = None) -> int:
    found, summary, _ = synthetic.report_inputs(result or synthetic.sweep())
    checked = check_publishable(found, summary, row)
    package(found, summary, row)
    return checked.number


@pytest.mark.parametrize("row", [3, 4, 7])
def test_a_row_with_a_file_of_its_own_may_be(row: int) -> None:
    assert check(str(row)) == row


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1", "row 1 has no file of its own: nothing is quantized in it"),
        ("5", "row 5 failed, so there is nothing to save: quantize: "),
        ("6", "row 6 failed, so there is nothing to save: quantize: "),
        ("8", "row 8 was refused, so it has no file: "),
    ],
)
def test_a_row_without_a_file_says_what_stands_for_it_or_why(row: str, said: str) -> None:
    with pytest.raises(QuantbenchError, match=said):
        check(row)


def test_a_row_that_shares_a_file_names_the_one_to_publish() -> None:
    result = synthetic.sweep()
    assert result.plan is not None
    third, fourth = (result.plan.rows[n].arm_id for n in (2, 3))
    assert fourth is not None
    with pytest.raises(QuantbenchError, match=r"the same as row 3.*\n.*--row 3"):
        check("4", synthetic.with_arm(result, fourth, same_as=third))


def test_a_run_of_which_another_row_is_missing_is_not_finished() -> None:
    result = synthetic.sweep()
    assert result.plan is not None
    missing = result.plan.rows[3].arm_id
    arms = tuple(arm for arm in result.arms if arm.arm.id != missing)
    with pytest.raises(QuantbenchError, match="not finished: measurements of row 4 are missing"):
        check("3", result.model_copy(update={"arms": arms}))


def test_a_row_that_was_not_timed_yet_is_not_finished() -> None:
    result = synthetic.sweep()
    assert result.plan is not None
    third = result.plan.rows[2].arm_id
    assert third is not None
    with pytest.raises(QuantbenchError, match="not finished: measurements of row 3"):
        check("3", synthetic.with_arm(result, third, timings=()))


def test_there_is_no_ninth_row() -> None:
    with pytest.raises(UsageError, match="'9' is no row of this run"):
        check("9")


@pytest.mark.parametrize(
    "license_id", ["apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "gpl-3.0"]
)
def test_a_license_that_allows_it_needs_no_note(license_id: str) -> None:
    assert license_note(license_id) is None


@pytest.mark.parametrize(
    ("license_id", "said"),
    [
        (None, "is not known"),
        ("unknown", "is not known"),
        ("other", "is none that the hub lists"),
        ("my-terms", "is none that the hub lists"),
        ("cc-by-nd-4.0", "forbids to pass on derived works"),
        ("cc-by-nc-nd-4.0", "forbids to pass on derived works"),
        ("cc-by-nc-4.0", "forbids commercial use"),
        ("fair-noncommercial-research-license", "forbids commercial use"),
        ("intel-research", "allows research only"),
        ("llama3.1", "has terms for what is made from it"),
        ("gemma", "has terms for what is made from it"),
        ("bigscience-bloom-rail-1.0", "has terms for what is made from it"),
    ],
)
def test_a_license_that_is_not_known_or_forbids_is_noted(license_id: str | None, said: str) -> None:
    note = license_note(license_id)
    assert note is not None
    assert said in note
    assert "see whether you may publish" in note
