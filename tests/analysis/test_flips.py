"""Which samples flipped, and how they are shown."""

import io
from pathlib import Path

import pyarrow.parquet
import pytest

from other_runs import write_run
from quantbench import cli
from quantbench.analysis.compare import summarize
from quantbench.analysis.flips import Flips, find_flips
from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.results import Evaluation, Failed, Prediction, SweepResult
from quantbench.reports.flips import flip_lines, print_flips, write_flips
from synthetic import QUESTION_ANSWERING, sweep, with_arm

METRICS = ("exact_match", "f1")
ROW = 3


def flips(result: SweepResult, row: int = ROW) -> Flips:
    summary = summarize(result, QUESTION_ANSWERING)
    return find_flips(result, summary.rows[row - 1], METRICS)


def arm_of(result: SweepResult, row: int = ROW) -> str:
    assert result.plan is not None
    arm_id = result.plan.rows[row - 1].arm_id
    assert arm_id is not None
    return arm_id


def evaluated(result: SweepResult, arm_id: str) -> Evaluation:
    found = result.arm(arm_id).evaluation
    assert isinstance(found, Evaluation)
    return found


def test_samples_that_got_worse_come_first_and_are_those_that_the_summary_counts() -> None:
    result = sweep()
    found = flips(result)
    metric = summarize(result, QUESTION_ANSWERING).rows[ROW - 1].arm.metrics[0]  # type: ignore[union-attr]
    changes = [flip.change for flip in found.flips]
    assert changes == sorted(changes)
    assert sum(change < 0 for change in changes) == metric.worse
    assert sum(change > 0 for change in changes) == metric.better
    first = found.flips[0]
    assert (first.original.answer, first.optimized.answer) == ("right", "wrong")
    assert (first.original_scores["f1"], first.optimized_scores["f1"]) == (1.0, 0.25)


def test_of_equal_losses_the_one_that_the_original_was_surest_of_is_first() -> None:
    result = sweep()
    last = flips(result).flips[3].sample_id
    original = evaluated(result, ORIGINAL_ID)
    sure = tuple(
        item.model_copy(update={"score": 0.9 if name == last else 0.5})
        for name, item in zip(original.sample_ids, original.predictions, strict=True)
    )
    changed = original.model_copy(update={"predictions": sure})
    assert flips(with_arm(result, ORIGINAL_ID, evaluation=changed)).flips[0].sample_id == last


def test_other_answers_that_are_as_good_are_counted_only() -> None:
    result = sweep()
    arm_id = arm_of(result)
    own = evaluated(result, arm_id)
    others = tuple(
        Prediction(answer="wrong too") if item.answer == "wrong" else item
        for item in own.predictions
    )
    changed = own.model_copy(update={"predictions": others})
    found = flips(with_arm(result, arm_id, evaluation=changed))
    stayed_wrong = sum(item.answer == "wrong" for item in own.predictions) - sum(
        flip.change < 0 for flip in found.flips
    )
    assert found.num_other == stayed_wrong


def test_a_row_that_was_refused_or_not_evaluated_has_none() -> None:
    result = sweep()
    with pytest.raises(UsageError, match="row 8 was not made"):
        flips(result, 8)
    failed = Failed(stage="evaluate", error="no memory")
    broken = with_arm(result, ORIGINAL_ID, evaluation=failed)
    with pytest.raises(QuantbenchError, match="could not be evaluated: no memory"):
        find_flips(broken, summarize(result, QUESTION_ANSWERING).rows[ROW - 1], METRICS)


def test_a_run_that_stopped_before_anything_was_measured_says_so() -> None:
    whole = sweep()
    row = summarize(whole, QUESTION_ANSWERING).rows[ROW - 1]
    begun = whole.model_copy(update={"arms": ()})
    with pytest.raises(QuantbenchError, match="the original was not evaluated"):
        find_flips(begun, row, METRICS)
    no_file = Failed(stage="quantize", error="no kernel")
    broken = with_arm(whole, arm_of(whole), evaluation=None, artifact=no_file)
    with pytest.raises(QuantbenchError, match="could not be evaluated: no kernel"):
        find_flips(broken, row, METRICS)


@pytest.fixture
def samples() -> dict[str, dict[str, object]]:
    return {
        flip.sample_id: {"question": "Who?\x1b[2J [bold]", "answers": {"text": ["Ada"]}}
        for flip in flips(sweep()).flips
    }


def test_a_person_sees_the_sample_and_both_answers(samples: dict[str, dict[str, object]]) -> None:
    stream = io.StringIO()
    found = flips(sweep())
    print_flips(found, samples, 2, stream)  # type: ignore[arg-type]
    text = stream.getvalue()
    assert "of 1,200 samples 4 got worse and 2 better" in text
    assert f"1. sample {found.flips[0].sample_id}: exact_match 1 → 0, f1 1 → 0.25" in text
    assert r"question: Who?\x1b[2J [bold]" in text
    assert "original: right" in text
    assert "optimized: wrong" in text
    assert "4 more: --limit" in text


def test_the_table_has_every_sample_with_its_scores(
    samples: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    found = flips(sweep())
    write_flips(flip_lines(found, samples), tmp_path / "errors" / "row.parquet")  # type: ignore[arg-type]
    table = pyarrow.parquet.read_table(tmp_path / "errors" / "row.parquet").to_pylist()
    assert [line["sample_id"] for line in table] == [flip.sample_id for flip in found.flips]
    assert table[0]["change"] == -1.0
    assert table[0]["sample.answers"] == '{"text": ["Ada"]}'
    assert (table[0]["original_f1"], table[0]["optimized_f1"]) == (1.0, 0.25)


def test_what_is_printed_moves_no_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "\x9b31m\u202e"
    run = write_run(tmp_path / odd)
    monkeypatch.setattr(
        "quantbench.commands.errors._samples",
        lambda _config, _result, ids: {sample_id: {"question": odd} for sample_id in ids},
    )
    for options in ([], ["--json"]):
        assert cli.main(["errors", str(run), "--row", "3", *options]) == 0
        said = capsys.readouterr().out
        assert "\\u202e" in said
        assert not set(said) & set("\x9b\u202e")
