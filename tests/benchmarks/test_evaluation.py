"""The benchmark of the evaluation of a grid: what it counts, and that all ways do the same work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import evaluation
from cost_inputs import make_tiny
from evaluation_ways import Model, Part, Pass

ORIGINAL = Model("original", "pytorch float32", (1, 2, 3))
REFERENCE = Model("fp32", "onnxruntime float32", ())
INT8 = Model("int8", "onnxruntime dynamic", (1, 2))
OTHER = Model("other", "onnxruntime static", (3,))
PART = Part(
    tokens=(32, 352),
    num_samples=2,
    num_threads=2,
    side_by_side=2,
    sweep_first=True,
    sweep_s=10.0,
    sweep_answers=dict.fromkeys(("original", "fp32", "int8", "other"), ("a", "b")),
    passes=(
        Pass("original", "padded", 10.0, 0.5, ("a", "b")),
        Pass("original", "unpadded", 6.0, 0.5, ("a", "b")),
        Pass("fp32", "unpadded", 5.0, 0.5, ("a", "b")),
        Pass("fp32", "side by side", 4.0, 0.5, ("a", "b")),
        Pass("int8", "padded", 5.0, 0.5, ("a", "z")),
        Pass("int8", "unpadded", 3.0, 0.5, ("a", "b")),
        Pass("int8", "side by side", 2.0, 0.5, ("a", "b")),
        Pass("other", "padded", 7.0, 0.5, ("a", "b")),
        Pass("other", "unpadded", 4.0, 0.5, ("a", "b")),
    ),
    models=(ORIGINAL, REFERENCE, INT8, OTHER),
)


def test_one_at_a_time_the_original_counts_for_each_row_and_a_model_for_each_of_its_own() -> None:
    assert evaluation.naive_s(PART, "padded") == 3 * 10.0 + 2 * 5.0 + 7.0
    assert evaluation.naive_s(PART, "unpadded") == 3 * 6.0 + 2 * 3.0 + 4.0


def test_a_ratio_is_the_median_over_the_parts_and_is_held_to_its_goal() -> None:
    disturbed, quiet = replace(PART, sweep_s=100.0), replace(PART, sweep_s=11.75)
    parts = [PART, disturbed, quiet]
    assert evaluation.ratio(parts, "padded") == 11.75 / 47.0
    assert evaluation.missed_ratios(parts) == []
    (missed,) = evaluation.missed_ratios([replace(PART, sweep_s=14.0, sweep_first=False)] * 2)[:1]
    assert missed == "sweep ÷ one at a time, padded, is 0.30, not ≤ 0.25"


def test_an_answer_that_differs_without_padding_is_told_and_one_with_padding_is_not() -> None:
    assert evaluation.wrong_answers([PART, PART]) == []
    other = replace(PART, sweep_answers=PART.sweep_answers | {"int8": ("a", "c")})
    assert evaluation.wrong_answers([PART, other]) == [
        "int8: 3 of 4 answers are the same in a sweep and unpadded",
        "int8: 3 of 4 answers are the same in a sweep and side by side",
    ]
    assert evaluation.same_as_sweep([PART], INT8, "padded") == 1


def test_sessions_are_compared_without_their_opening() -> None:
    table = evaluation.as_markdown([PART]).split("side by side\n")[-1]
    cells = [line.split("|")[2:5] for line in table.splitlines() if "onnxruntime" in line]
    assert [[cell.strip() for cell in line] for line in cells] == [
        ["4.5", "3.5", "0.78"],
        ["2.5", "1.5", "0.60"],
    ]


@pytest.mark.slow
def test_all_ways_evaluate_the_same_models_and_answer_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    make_tiny(tmp_path / "model")
    parts = evaluation.measure(tmp_path, evaluation.QUICK_SAMPLES, evaluation.QUICK_PARTS)
    assert evaluation.wrong_answers(parts) == []
    assert [part.sweep_first for part in parts] == [True, False]
    for part in parts:
        needed = [(model, row) for model in part.models for row in model.rows]
        assert len(needed) == 8 + 8  # the original, and the model of each row
        assert part.models[0].rows == tuple(range(1, 9))
        assert part.sweep_s > 0
        assert all(len(answers) == part.num_samples for answers in part.sweep_answers.values())
        in_sessions = [one.arm_id for one in part.passes if one.way == "side by side"]
        assert [name.split("-")[1] for name in sorted(in_sessions)] == [
            "dynamic",
            "float32",
            "static",
        ]
    text = evaluation.as_markdown(parts)
    assert f"{evaluation.QUICK_SAMPLES} of {evaluation.QUICK_SAMPLES}" in text
    assert "nan" not in text
