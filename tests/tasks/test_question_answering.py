"""Windows over long contexts, answers cut from the text, and references."""

import itertools
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from quantbench.core.errors import ConfigError, UsageError
from quantbench.core.results import Prediction
from quantbench.protocols import Array, Encoded
from quantbench.tasks.question_answering import TASK, QuestionAnsweringRun

SPECIAL = 3


def open_task(directory: Path, **task_args: Any) -> QuestionAnsweringRun:
    args = {"max_seq_length": 32, "doc_stride": 8} | task_args
    args = {name: value for name, value in args.items() if value is not None}
    keys = {"question": "question", "context": "context"}
    return TASK.open(directory, args, keys, ("answers",), None)


@pytest.fixture
def run(reader_dir: Path) -> QuestionAnsweringRun:
    return open_task(reader_dir)


def row(context: str, question: str = "who built it?", answers: Any = ("x",)) -> dict[str, Any]:
    return {"question": question, "context": context, "answers": {"text": list(answers)}}


def pointing_at(
    context: str, answer: str, encoded: Sequence[Encoded], height: float = 10.0, shift: int = 0
) -> list[dict[str, Array]]:
    """Outputs that point at the answer in every window that holds all of it."""
    begin = context.index(answer) + shift
    finish = begin + len(answer)
    outputs = []
    for part in encoded:
        starts = np.array([[0.0 if o is None or o[0] != begin else height for o in part.context]])
        ends = np.array([[0.0 if o is None or o[1] != finish else height for o in part.context]])
        outputs.append({"start_logits": starts, "end_logits": ends})
    return outputs


class TestWindows:
    def test_a_short_context_is_one_window(self, run: QuestionAnsweringRun) -> None:
        (part,) = run.encode(row("the engineer built it ."))
        assert part.inputs.keys() == {"input_ids", "attention_mask"}
        assert part.inputs["input_ids"].shape == (1, len(part.context))

    def test_a_long_context_is_covered_by_windows_that_overlap(
        self, run: QuestionAnsweringRun
    ) -> None:
        context = "the river is long . " * 20
        windows = [[o for o in part.context if o is not None] for part in run.encode(row(context))]
        for before, after in itertools.pairwise(windows):
            assert before[-8:] == after[:8]
        distinct = {offset for window in windows for offset in window}
        assert len(distinct) == 20 * 5
        assert all(len(window) == len(windows[0]) for window in windows[:-1])

    def test_no_window_is_longer_than_asked_for(self, run: QuestionAnsweringRun) -> None:
        lengths = [part.inputs["input_ids"].shape[1] for part in run.encode(row("stone " * 90))]
        assert max(lengths) == 32

    def test_no_window_is_longer_than_the_model(self, reader_dir: Path) -> None:
        run = open_task(reader_dir, max_seq_length=None)  # the default: 384
        lengths = [part.inputs["input_ids"].shape[1] for part in run.encode(row("stone " * 90))]
        assert max(lengths) == 48

    def test_the_question_stands_whole_in_every_window(self, run: QuestionAnsweringRun) -> None:
        encoded = run.encode(row("stone " * 90, question="who built the bridge ?"))
        assert len(encoded) > 2
        heads = {tuple(part.inputs["input_ids"][0, : 5 + 2]) for part in encoded}
        assert len(heads) == 1

    def test_white_space_before_the_question_changes_nothing(
        self, run: QuestionAnsweringRun
    ) -> None:
        one = run.encode(row("the engineer", question="who built it ?"))
        two = run.encode(row("the engineer", question="  \n who built it ?"))
        np.testing.assert_array_equal(one[0].inputs["input_ids"], two[0].inputs["input_ids"])

    def test_an_endless_question_is_cut_and_logged(
        self, run: QuestionAnsweringRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            encoded = run.encode(row("the engineer built it " * 20, question="what " * 300))
        assert "a question of 300 tokens" in caplog.text
        assert "only its first 10 are used" in caplog.text
        assert all(part.inputs["input_ids"].shape[1] <= 32 for part in encoded)
        tokens = [offset for part in encoded for offset in part.context if offset is not None]
        assert len(set(tokens)) == 80

    def test_a_long_question_without_blanks_is_cut_too(self, run: QuestionAnsweringRun) -> None:
        encoded = run.encode(row("the engineer built it", question="unbelievable" * 8))
        assert all(part.inputs["input_ids"].shape[1] <= 32 for part in encoded)

    def test_the_longest_question_that_leaves_new_context_is_kept(
        self, run: QuestionAnsweringRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        # 32 tokens = 3 special + 20 of the question + 8 shared + 1 new
        encoded = run.encode(row("stone " * 12, question="what " * 20))
        assert caplog.text == ""
        assert len(encoded) == 4

    def test_token_types_are_given_only_to_models_that_take_them(
        self, reader_dir: Path, tmp_path: Path
    ) -> None:
        from transformers import AutoTokenizer, BertConfig

        tokenizer = AutoTokenizer.from_pretrained(reader_dir)
        tokenizer.save_pretrained(tmp_path)
        BertConfig(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
        run = open_task(tmp_path)
        (part,) = run.encode(row("the engineer", question="who built it"))
        assert part.inputs["token_type_ids"].tolist() == [[0] * 5 + [1] * 3]
        dummy = run.dummy_inputs(2, 6, np.random.default_rng(0))
        assert dummy["token_type_ids"].tolist() == [[0] * 6] * 2


class TestAnswers:
    def answer(self, run: QuestionAnsweringRun, context: str, answer: str) -> Any:
        encoded = run.encode(row(context))
        return run.decode(row(context), encoded, pointing_at(context, answer, encoded))

    def test_the_answer_is_found_in_a_later_window(self, run: QuestionAnsweringRun) -> None:
        context = "the river is long . " * 8 + "engineer named stone built it . " + "wide . " * 20
        found = self.answer(run, context, "engineer named stone")
        assert found == Prediction(answer="engineer named stone", score=20.0)

    @pytest.mark.parametrize("answer", ["Zürich", "CAFÉ", "Cafe\u0301 town", "日本", "🙂 stone"])
    @pytest.mark.parametrize("before", ["was ", "“🙂 日本 — é e\u0301” \t\n"])
    def test_the_text_is_as_it_stands_in_the_context(
        self, run: QuestionAnsweringRun, before: str, answer: str
    ) -> None:
        context = f"{before}{answer}, named. " + "wide . " * 20
        start = len(before)
        encoded = run.encode(row(context))
        outputs = pointing_at(context[start:], answer, encoded, shift=start)
        assert run.decode(row(context), encoded, outputs).answer == answer

    def test_no_valid_span_is_an_empty_answer(self, run: QuestionAnsweringRun) -> None:
        encoded = run.encode(row(""))
        lengths = [len(part.context) for part in encoded]
        outputs = [
            {"start_logits": np.zeros((1, n)), "end_logits": np.zeros((1, n))} for n in lengths
        ]
        assert run.decode(row(""), encoded, outputs) == Prediction(answer="", score=0.0)

    def test_windows_give_what_an_exhaustive_search_gives(self, run: QuestionAnsweringRun) -> None:
        context = "the river and the bridge , built by engineer unbelievable in 1890s . " * 4
        sample = row(context)
        encoded = run.encode(sample)
        rng = np.random.default_rng(5)
        for _ in range(20):
            outputs = [
                {
                    "start_logits": rng.standard_normal((1, len(part.context))),
                    "end_logits": rng.standard_normal((1, len(part.context))),
                }
                for part in encoded
            ]
            # n_best 20 of at most 32 tokens rarely hides the best pair: open it fully.
            run_all = type(run)(**{**vars(run), "args": run.args.model_copy(update={"n_best": 99})})
            found = run_all.decode(sample, encoded, outputs)
            best = max(
                (
                    output["start_logits"][0, i] + output["end_logits"][0, j],
                    part.context[i][0],
                    part.context[j][1],
                )
                for part, output in zip(encoded, outputs, strict=True)
                for i in range(len(part.context))
                for j in range(i, min(i + 30, len(part.context)))
                if part.context[i] is not None and part.context[j] is not None
            )
            assert found.answer == context[best[1] : best[2]]
            assert found.score == pytest.approx(best[0])


def test_predictions_do_not_depend_on_neighbours_or_padding(
    run: QuestionAnsweringRun, reader_dir: Path
) -> None:
    import torch
    from transformers import AutoConfig, DistilBertForQuestionAnswering

    torch.manual_seed(0)
    model = DistilBertForQuestionAnswering(AutoConfig.from_pretrained(reader_dir)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))

    def forward(inputs: dict[str, Array]) -> dict[str, Array]:
        with torch.inference_mode():
            answer = model(**{name: torch.from_numpy(array) for name, array in inputs.items()})
        return {name: answer[name].numpy() for name in ("start_logits", "end_logits")}

    sample = row("the engineer named the long stone bridge , built in 1890s . " * 5)
    encoded = run.encode(sample)
    assert len({part.inputs["input_ids"].shape for part in encoded}) > 1
    alone = [forward(dict(part.inputs)) for part in encoded]
    batch = {
        name: np.concatenate(
            [
                np.pad(part.inputs[name], ((0, 0), (0, 40 - part.inputs[name].shape[1])))
                for part in encoded
            ]
        )
        for name in encoded[0].inputs
    }
    logits = forward(batch)
    together = [{name: logits[name][n : n + 1] for name in logits} for n in range(len(encoded))]
    one, other = (run.decode(sample, encoded, outputs) for outputs in (alone, together))
    assert one.answer == other.answer != ""
    assert one.score == pytest.approx(other.score, abs=1e-4)


class TestReferences:
    @pytest.mark.parametrize(
        "answers",
        [
            {"text": ["a river", "river"], "answer_start": [0, 2]},
            ["a river", "river"],
            [{"text": "a river", "answer_start": 0}, {"text": "river"}],
        ],
    )
    def test_answers_come_in_several_forms(self, run: QuestionAnsweringRun, answers: Any) -> None:
        assert run.reference({"answers": answers}) == ["a river", "river"]

    def test_one_text_is_one_answer(self, run: QuestionAnsweringRun) -> None:
        assert run.reference({"answers": "river"}) == ["river"]

    @pytest.mark.parametrize("answers", [[], {"text": []}, None, 3, [1]])
    def test_anything_else_is_refused_with_the_question(
        self, run: QuestionAnsweringRun, answers: Any
    ) -> None:
        with pytest.raises(ConfigError, match="who built it") as caught:
            run.reference({"question": "who built it", "answers": answers})
        assert caught.value.problems[0].path == "dataset.ref_keys[0]"

    def test_metrics_are_percentages_and_samples_fractions(self, run: QuestionAnsweringRun) -> None:
        predictions = [Prediction(answer=text) for text in ("the river", "river", "bridge")]
        scored = run.score(predictions, [["River"], ["long river", "wide river"], ["town"]])
        assert scored.metrics["exact_match"] == pytest.approx(100 / 3)
        assert scored.metrics["f1"] == pytest.approx(100 * (1 + 2 / 3) / 3)
        assert scored.per_sample["exact_match"] == (1.0, 0.0, 0.0)
        assert scored.per_sample["f1"] == pytest.approx((1.0, 2 / 3, 0.0))


class TestNoAnswer:
    """SQuAD v2: a question may have no answer."""

    @pytest.fixture
    def run(self, reader_dir: Path) -> QuestionAnsweringRun:
        return open_task(reader_dir, version_2=True)

    def decide(self, run: QuestionAnsweringRun, nulls: Sequence[float]) -> Prediction:
        """The windows say `nulls` at CLS; that with the answer points at it with 20."""
        context = "the river is long . " * 8 + "engineer named stone built it ."
        encoded = run.encode(row(context))
        outputs = pointing_at(context, "engineer named stone", encoded)
        assert len(outputs) >= len(nulls)
        for number, output in enumerate(outputs):
            output["start_logits"][0, 0] = nulls[min(number, len(nulls) - 1)]
        return run.decode(row(context), encoded, outputs)

    def test_the_higher_score_wins(self, run: QuestionAnsweringRun) -> None:
        assert self.decide(run, [21.0]) == Prediction(answer="", score=21.0)
        assert self.decide(run, [19.0]) == Prediction(answer="engineer named stone", score=20.0)

    def test_of_equal_scores_the_span_wins(self, run: QuestionAnsweringRun) -> None:
        assert self.decide(run, [20.0]).answer == "engineer named stone"

    def test_all_windows_have_to_say_that_there_is_none(self, run: QuestionAnsweringRun) -> None:
        assert self.decide(run, [30.0, 19.0, 30.0]).answer == "engineer named stone"
        assert self.decide(run, [30.0, 22.0, 30.0]) == Prediction(answer="", score=22.0)

    @pytest.mark.parametrize(("threshold", "answer"), [(1.0, "engineer named stone"), (0.9, "")])
    def test_the_threshold_is_what_it_must_be_higher_by(
        self, reader_dir: Path, threshold: float, answer: str
    ) -> None:
        run = open_task(reader_dir, version_2=True, null_score_diff_threshold=threshold)
        assert self.decide(run, [21.0]).answer == answer

    def test_without_a_valid_span_there_is_none(self, run: QuestionAnsweringRun) -> None:
        (part,) = run.encode(row(""))
        logits = np.full((1, len(part.context)), -3.0)
        outputs = [{"start_logits": logits, "end_logits": logits}]
        assert run.decode(row(""), [part], outputs) == Prediction(answer="", score=-6.0)

    def test_a_model_that_gives_no_numbers_is_wrong(self, run: QuestionAnsweringRun) -> None:
        (part,) = encoded = run.encode(row("the engineer"))
        logits = np.full((1, len(part.context)), math.nan)
        found = run.decode(row(""), encoded, [{"start_logits": logits, "end_logits": logits}])
        assert found == Prediction(answer=None)
        assert run.score([found], [[]]).metrics["exact_match"] == 0.0

    @pytest.mark.parametrize("answers", [[], {"text": [], "answer_start": []}, ""])
    def test_a_question_may_have_no_answer(self, run: QuestionAnsweringRun, answers: Any) -> None:
        assert run.reference({"answers": answers}) == []

    def test_other_forms_are_as_ever(self, run: QuestionAnsweringRun) -> None:
        assert run.reference({"answers": {"text": ["a river", ""]}}) == ["a river", ""]
        with pytest.raises(ConfigError, match="empty where there is no answer"):
            run.reference({"question": "who built it", "answers": None})

    def test_refused_without_version_2_and_told_how(self, reader_dir: Path) -> None:
        with pytest.raises(ConfigError, match=r"task_args.version_2: true"):
            open_task(reader_dir).reference({"question": "who", "answers": []})

    def test_both_kinds_of_questions_are_scored_apart(self, run: QuestionAnsweringRun) -> None:
        predictions = [Prediction(answer=text) for text in ("river", "", "town", "")]
        scored = run.score(predictions, [["long river"], [], [], ["bridge"]])
        assert scored.metrics == pytest.approx(
            {
                "exact_match": 25.0,
                "f1": 100 * (2 / 3 + 1) / 4,
                "HasAns_exact": 0.0,
                "HasAns_f1": 100 * (2 / 3) / 2,
                "NoAns_exact": 50.0,
                "NoAns_f1": 50.0,
            }
        )


class TestBadInput:
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ({"null_score_diff_threshold": 0.0}, "it acts only with version_2"),
            ({"version_2": True, "null_score_diff_threshold": math.inf}, "finite number"),
            ({"doc_stride": 32}, "smaller than max_seq_length"),
            ({"max_answer_length": 0}, "greater than or equal to 1"),
            ({"n_best": 0}, "greater than or equal to 1"),
        ],
    )
    def test_arguments_that_cannot_be(
        self, reader_dir: Path, args: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValidationError, match=message):
            open_task(reader_dir, **args)

    def test_defaults_too_large_for_a_small_model_say_what_to_set(self, reader_dir: Path) -> None:
        with pytest.raises(UsageError, match="too large for windows of 48 tokens") as caught:
            open_task(reader_dir, max_seq_length=None, doc_stride=None)
        assert "the model's limit; 384 was asked for" in str(caught.value)
        assert "try doc_stride: 16" in str(caught.value)

    def test_a_window_longer_than_the_model_is_not_cut_in_silence(self, reader_dir: Path) -> None:
        with pytest.raises(UsageError, match="the model takes at most 48 tokens") as caught:
            open_task(reader_dir, max_seq_length=384)
        assert "task_args.max_seq_length = 384" in str(caught.value)

    def test_a_model_without_its_tokenizer_is_refused(self, tmp_path: Path) -> None:
        # transformers makes up a tokenizer of five special tokens for such a directory.
        from transformers import DistilBertConfig

        DistilBertConfig().save_pretrained(tmp_path)
        with pytest.raises(UsageError, match="knows no words: its files are missing"):
            open_task(tmp_path)

    def test_the_tokenizer_of_another_model_is_refused(
        self, reader_dir: Path, tmp_path: Path
    ) -> None:
        from transformers import AutoTokenizer, DistilBertConfig

        AutoTokenizer.from_pretrained(reader_dir).save_pretrained(tmp_path)
        DistilBertConfig(vocab_size=20).save_pretrained(tmp_path)
        with pytest.raises(UsageError, match="is not the model's"):
            open_task(tmp_path)

    def test_a_column_that_is_not_text(self, run: QuestionAnsweringRun) -> None:
        with pytest.raises(ConfigError, match="not a text") as caught:
            run.encode({"question": "who", "context": 3})
        assert caught.value.problems[0].path == "dataset.data_keys.context"

    def test_dummy_inputs_longer_than_the_model(self, run: QuestionAnsweringRun) -> None:
        with pytest.raises(UsageError, match="takes at most 48"):
            run.dummy_inputs(1, 49, np.random.default_rng(0))

    def test_dummy_tokens_are_ordinary_ones(
        self, run: QuestionAnsweringRun, reader_dir: Path
    ) -> None:
        dummy = run.dummy_inputs(8, 48, np.random.default_rng(0))
        assert dummy["input_ids"].min() >= 5  # the first five are special
        assert dummy["attention_mask"].all()
