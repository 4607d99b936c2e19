"""Which files a row gives, from the results alone."""

import functools

import pytest

import synthetic
from quantbench.analysis.package import Package, package
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.results import SweepResult
from quantbench.core.summary import SweepSummary


@functools.cache
def plain() -> tuple[SweepResult, SweepSummary]:
    """The synthetic sweep: rows 1 and 2 are fp32, 5 and 6 fail, 7 is partial, 8 is refused."""
    result, summary, _ = synthetic.report_inputs(synthetic.sweep())
    return result, summary


def packaged(row: str) -> Package:
    return package(*plain(), row)


def test_a_quantized_row_gives_the_export_and_its_own_file() -> None:
    found = packaged("3")
    assert [item.path for item in found.models] == ["onnx/model.onnx", "onnx/model_int8.onnx"]
    assert found.row_file == "onnx/model_int8.onnx"
    result, _ = plain()
    assert found.models[1].sha256 == result.arm(found.measured_as).artifact.sha256  # type: ignore[union-attr]
    assert found.notes == ()


def test_it_says_what_was_measured_of_the_file() -> None:
    found, row = packaged("3"), plain()[1].rows[2]
    assert row.arm is not None
    assert (found.metrics, found.speedup) == (row.arm.metrics, row.arm.speedup)
    assert found.parameters == row.parameters
    assert found.optimization_level == 99


def test_a_row_is_found_by_the_start_of_its_trials_id() -> None:
    assert packaged(plain()[1].rows[2].trial_id[:6]) == packaged("3")


@pytest.mark.parametrize("row", ["1", "2"])
def test_a_row_in_which_nothing_is_quantized_gives_the_export_and_says_so(row: str) -> None:
    found = packaged(row)
    assert [item.path for item in found.models] == ["onnx/model.onnx"]
    assert found.row_file == "onnx/model.onnx"
    assert found.notes == (
        f"nothing is quantized in row {row}: its file is the fp32 export, and there is no other",
    )


def test_a_row_that_shares_a_file_gives_the_one_that_was_measured() -> None:
    result, _ = plain()
    assert result.plan is not None
    third, fourth = (result.plan.rows[n].arm_id for n in (2, 3))
    assert fourth is not None
    shared = synthetic.with_arm(result, fourth, same_as=third)
    _, summary, _ = synthetic.report_inputs(shared)
    found = package(shared, summary, "4")
    assert found.measured_as == third
    assert found.models == packaged("3").models
    assert found.notes[0] == "row 4 has the file of row 3, which was measured for both"


def test_a_row_with_some_numbers_missing_is_saved_and_says_so() -> None:
    assert packaged("7").notes == ("row 7 is not complete: some of its measurements are missing",)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("5", "row 5 failed, so there is nothing to save: quantize: "),
        ("6", "row 6 failed, so there is nothing to save: quantize: "),
        ("8", "row 8 was refused, so it has no file: "),
    ],
)
def test_a_row_without_a_file_says_why(row: str, said: str) -> None:
    with pytest.raises(QuantbenchError, match=said):
        packaged(row)


def test_there_is_no_ninth_row() -> None:
    with pytest.raises(UsageError, match="'9' is no row of this run"):
        packaged("9")


def test_a_row_that_was_not_run_yet_says_how_to_go_on() -> None:
    result, _ = plain()
    begun = result.model_copy(update={"arms": result.arms[:2]})
    _, summary, _ = synthetic.report_inputs(begun)
    with pytest.raises(QuantbenchError, match="quantbench run"):
        package(begun, summary, "3")


def test_a_published_card_has_no_files() -> None:
    result, summary = plain()
    published = result.model_copy(update={"plan": None})
    with pytest.raises(QuantbenchError, match="published without their files"):
        package(published, summary, "3")
