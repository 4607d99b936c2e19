"""Extractive question answering: the answer is a span of the context (SQuAD v1.1)."""

from __future__ import annotations

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
from quantbench.tasks.spans import best_span
from quantbench.tasks.squad_metric import best_over_references, exact_match, f1
from quantbench.tasks.tokenizer import Tokenizer, check_length, load_tokenizer

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
        False, description="Questions without an answer (SQuAD v2) are not supported: false only."
    )

    @field_validator("doc_stride")
    @classmethod
    def _overlap_is_part_of_a_window(cls, value: int, info: ValidationInfo) -> int:
        length = info.data.get("max_seq_length")
        if length is not None and value >= length:
            raise PydanticCustomError("doc_stride", "smaller than max_seq_length")
        return value

    @field_validator("version_2")
    @classmethod
    def _version_2_is_not_there(cls, value: bool) -> bool:
        if value:
            raise PydanticCustomError(
                "version_2",
                "false: questions without an answer come with SQuAD v2, which is not supported yet",
            )
        return value


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
        """The best span over all windows.

        Args:
            row: the sample.
            encoded: its windows.
            outputs: per window, `start_logits` and `end_logits`, each [1, length or more].

        Returns:
            As answer the text as it stands in the context, as score the sum of the two logits.
            If no span is valid the text is empty and the score 0 (`run_qa` writes the word
            "empty").
        """
        span = best_span(
            [part.context for part in encoded],
            [output["start_logits"][0] for output in outputs],
            [output["end_logits"][0] for output in outputs],
            self.args.n_best,
            self.args.max_answer_length,
        )
        if span is None:
            return Prediction(answer="", score=0.0)
        context = text_of(row, self.context_column, "context")
        return Prediction(answer=context[span.start : span.end], score=span.score)

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """The accepted answers, a list of texts.

        The column holds `{"text": [...], "answer_start": [...]}` as SQuAD has it, a list of
        texts, a list of `{"text": ...}`, or one text.

        Raises:
            ConfigError: something else, or no answer at all.
        """
        answers = _answer_texts(row.get(self.answers_column))
        if answers:
            return list(answers)
        what = "no answer" if answers is not None else f"{row.get(self.answers_column)!r:.80}"
        message = (
            f"the column {self.answers_column} holds {what} for the question "
            f"{row.get(self.question_column)!r:.80}; each needs one answer or more, as "
            "{text: [...]} or a list of texts (questions without an answer are SQuAD v2, "
            "which is not supported yet)"
        )
        raise ConfigError("references", [Problem("dataset.ref_keys[0]", message)])

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Exact match and F1.

        Metrics are percentages, as the official script gives them. Per-sample values are
        fractions, 0 to 1 (exact match: 0 or 1): a metric is 100 times their mean.

        Raises:
            ValueError: no samples, or not as many references.
        """
        if not predictions:
            raise ValueError("nothing to score: there are no predictions")
        pairs = list(zip(predictions, references, strict=True))
        per_sample = {
            name: tuple(
                best_over_references(metric, str(prediction.answer), accepted)
                for prediction, accepted in pairs
            )
            for name, metric in (("exact_match", exact_match), ("f1", f1))
        }
        metrics = {name: 100.0 * sum(values) / len(values) for name, values in per_sample.items()}
        return Scored(metrics=metrics, per_sample=per_sample)

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Random ordinary tokens without padding: int64 arrays [batch_size, input_length].

        Raises:
            ValueError: no length is given.
            UsageError: the model does not take that many tokens.
        """
        if input_length is None:
            raise ValueError("question answering needs an input length")
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
