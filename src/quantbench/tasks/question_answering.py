"""Extractive question answering: a span of the context (SQuAD v1.1), or no answer (v2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from quantbench.core.errors import ConfigError, Problem
from quantbench.core.frozen import Frozen
from quantbench.core.results import Prediction
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.protocols import Encoded, Inputs, Outputs, Scored
from quantbench.tasks.qa_windows import WindowSize, make_windows, window_size
from quantbench.tasks.rows import text_of
from quantbench.tasks.spans import best_span, null_score
from quantbench.tasks.squad_scores import score_version_1, score_version_2
from quantbench.tasks.tokenizer import Tokenizer, check_length, load_tokenizer, null_position

AtLeastOne = Annotated[int, Field(ge=1)]


class QuestionAnsweringArgs(Frozen):
    """How contexts are cut and answers are chosen; the defaults are those of `run_qa`."""

    max_seq_length: AtLeastOne = Field(
        384, description="Tokens in a window, at most; the model's own limit caps it."
    )
    doc_stride: Annotated[int, Field(ge=0)] = Field(
        128, description="Tokens that a window shares with the one before."
    )
    n_best: AtLeastOne = Field(20, description="Candidates for the start and for the end.")
    max_answer_length: AtLeastOne = Field(30, description="Tokens in an answer, at most.")
    version_2: bool = Field(
        False, description="There are questions without an answer, as in SQuAD v2."
    )
    null_score_diff_threshold: float = Field(
        0.0,
        description="By how much no answer must score higher than the best span; with version_2.",
    )

    @field_validator("doc_stride")
    @classmethod
    def _overlap_is_part_of_a_window(cls, value: int, info: ValidationInfo) -> int:
        length = info.data.get("max_seq_length")
        if length is not None and value >= length:
            raise PydanticCustomError("doc_stride", "smaller than max_seq_length")
        return value

    @field_validator("null_score_diff_threshold")
    @classmethod
    def _there_may_be_no_answer(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("version_2") is False:
            raise PydanticCustomError(
                "null_score_diff_threshold",
                "left out: it acts only with version_2, where questions may have no answer",
            )
        return value


def _has_version_2(args: QuestionAnsweringArgs) -> bool:
    return args.version_2


@dataclass(frozen=True)
class QuestionAnsweringRun:
    """Question answering for one model and one dataset."""

    tokenizer: Tokenizer
    size: WindowSize
    args: QuestionAnsweringArgs
    question_column: str
    context_column: str
    answers_column: str
    notes: tuple[str, ...] = ()

    def encode(self, row: Mapping[str, Any]) -> tuple[Encoded, ...]:
        """One input per window: int64 arrays [1, length], unpadded.

        Raises:
            ConfigError: a column does not hold a text, or there is not a single token.
        """
        question = text_of(row, self.question_column, "question")
        context = text_of(row, self.context_column, "context")
        windows = make_windows(self.tokenizer, question, context, self.size)
        if not windows[0].offsets:  # GPT-2 and the like add no token of their own
            message = (
                f"the columns {self.question_column} and {self.context_column} are both empty: "
                "leave the row out"
            )
            raise ConfigError("rows", [Problem("dataset.data_keys", message)])
        return tuple(Encoded(window.inputs, window.offsets) for window in windows)

    def decode(
        self, row: Mapping[str, Any], encoded: Sequence[Encoded], outputs: Sequence[Outputs]
    ) -> Prediction:
        """The best span over all windows, or no answer.

        With `version_2` there is none if the null score (`spans.null_score`) is higher than that
        of the best span by more than `null_score_diff_threshold`.

        Args:
            row: the sample.
            encoded: its windows.
            outputs: per window, `start_logits` and `end_logits`, each [1, length or more].

        Returns:
            As answer the text as it stands in the context, as score the sum of the two logits.
            If no span is valid the text is empty and the score 0 (`run_qa` writes the word
            "empty"). With `version_2` an empty text is no answer, its score the null score; the
            answer is None where not even that is a number, which no reference equals.
        """
        starts = [output["start_logits"][0] for output in outputs]
        ends = [output["end_logits"][0] for output in outputs]
        args = self.args
        span = best_span(
            [part.context for part in encoded],
            starts,
            ends,
            args.n_best,
            args.max_answer_length,
            min_characters=int(args.version_2),
        )
        if args.version_2:
            positions = [null_position(self.tokenizer.fast, part.inputs) for part in encoded]
            null = null_score(positions, starts, ends)
            if not math.isfinite(null):
                null = -math.inf
            if span is None or null - span.score > args.null_score_diff_threshold:
                known = math.isfinite(null)
                return Prediction(answer="" if known else None, score=null if known else None)
        if span is None:
            return Prediction(answer="", score=0.0)
        context = text_of(row, self.context_column, "context")
        return Prediction(answer=context[span.start : span.end], score=span.score)

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """The accepted answers, a list of texts.

        The column holds `{"text": [...], "answer_start": [...]}` as SQuAD has it, a list of
        texts, a list of `{"text": ...}`, or one text. With `version_2` it may hold none: an empty
        list, or an empty text.

        Raises:
            ConfigError: something else, or no answer at all where there must be one.
        """
        value = row.get(self.answers_column)
        answers = () if self.args.version_2 and value == "" else _answer_texts(value)
        if answers or (answers is not None and self.args.version_2):
            return list(answers)
        what = "no answer" if answers is not None else f"{value!r:.80}"
        needed = (
            "each needs a list of texts, or {text: [...]}, empty where there is no answer"
            if self.args.version_2
            else "each needs one answer or more, as {text: [...]} or a list of texts (for data "
            "with questions that have no answer, as SQuAD v2, set task_args.version_2: true)"
        )
        message = (
            f"the column {self.answers_column} holds {what} for the question "
            f"{row.get(self.question_column)!r:.80}; {needed}"
        )
        raise ConfigError("references", [Problem("dataset.ref_keys[0]", message)])

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Exact match and F1 of SQuAD v1.1 or v2: percentages; per sample fractions.

        Raises:
            ValueError: no samples, or not as many references.
        """
        if not predictions:
            raise ValueError("nothing to score: there are no predictions")
        answers = [None if each.answer is None else str(each.answer) for each in predictions]
        return (score_version_2 if self.args.version_2 else score_version_1)(answers, references)

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Random ordinary tokens without padding: int64 arrays [batch_size, input_length].

        Raises:
            ValueError: no length is given.
            UsageError: the model does not take that many tokens.
        """
        return self.tokenizer.random_inputs(batch_size, input_length, rng)


class QuestionAnswering:
    """The task, before a model is known."""

    spec = TaskSpec(
        name="question-answering",
        data_keys=("question", "context"),
        num_ref_keys=1,
        metrics=(
            MetricSpec("exact_match", scale=1.0, binary=True),
            MetricSpec("f1", scale=1.0, binary=False),
            *(
                MetricSpec(
                    f"{kind}_{name}", scale=1.0, binary=binary, form="ratio", applies=_has_version_2
                )
                for kind in ("HasAns", "NoAns")
                for name, binary in (("exact", True), ("f1", False))
            ),
        ),
        uses_input_length=True,
        auto_class="AutoModelForQuestionAnswering",
        architecture_suffix="ForQuestionAnswering",
        output_names=("start_logits", "end_logits"),
        args=QuestionAnsweringArgs,
    )

    def open(
        self,
        model_dir: Path,
        task_args: Mapping[str, JsonValue],
        data_keys: Mapping[str, str],
        ref_keys: Sequence[str],
        label_names: Sequence[str] | None,
        graph_inputs: Sequence[str] | None = None,
    ) -> QuestionAnsweringRun:
        """Load the tokenizer of a model directory. Answers are text: `label_names` has no part.

        Of the model's inputs those are made that are among `graph_inputs`, if there are any.

        Raises:
            UsageError: the tokenizer is missing or unfit, or windows do not fit the model.
        """
        args = QuestionAnsweringArgs.model_validate(dict(task_args))
        tokenizer = load_tokenizer(model_dir, graph_inputs)
        # The default stands for "as long as the model takes"; a length that was asked for is kept.
        if "max_seq_length" in args.model_fields_set:
            check_length(tokenizer, args.max_seq_length)
        return QuestionAnsweringRun(
            tokenizer=tokenizer,
            size=window_size(tokenizer, args.max_seq_length, args.doc_stride),
            args=args,
            question_column=data_keys["question"],
            context_column=data_keys["context"],
            answers_column=ref_keys[0],
        )


TASK = QuestionAnswering()


def _answer_texts(value: Any) -> tuple[str, ...] | None:
    """The texts in any of the accepted forms; None if it is none of them."""
    if isinstance(value, Mapping):
        value = value.get("text")
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence):
        return None
    texts = [item.get("text") if isinstance(item, Mapping) else item for item in value]
    strings = tuple(text for text in texts if isinstance(text, str))
    return strings if len(strings) == len(texts) else None
