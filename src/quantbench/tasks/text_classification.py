"""Text classification: one text or two; one class, several classes, or a number as answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from quantbench.core.errors import ConfigError, Problem
from quantbench.core.results import Prediction
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.protocols import Encoded, Inputs, Outputs, Scored
from quantbench.tasks.labels import matched_by_number
from quantbench.tasks.rows import text_of
from quantbench.tasks.text_answers import (
    Answers,
    TextClassificationArgs,
    check_head,
    find_answers,
)
from quantbench.tasks.tokenizer import Tokenizer, check_length, load_tokenizer, to_arrays


@dataclass(frozen=True)
class TextClassificationRun:
    """Text classification for one model and one dataset.

    `text_columns` are one or two, by the task's names for them. `length` is the number of tokens
    that texts are cut at, None if nothing limits it.
    """

    tokenizer: Tokenizer
    length: int | None
    text_columns: Mapping[str, str]
    label_column: str
    answers: Answers
    notes: tuple[str, ...] = ()

    def encode(self, row: Mapping[str, Any]) -> tuple[Encoded, ...]:
        """One input: int64 arrays [1, length], unpadded.

        Of two texts the longer one is cut, token by token, as transformers' `run_glue` does.

        Raises:
            ConfigError: a column does not hold a text, or there is not a single token.
        """
        texts = [[text_of(row, column, key)] for key, column in self.text_columns.items()]
        names = self.tokenizer.input_names
        encoding = self.tokenizer.fast(
            *texts,
            truncation="longest_first" if self.length is not None else False,
            max_length=self.length,
            padding=False,
            return_attention_mask=True,
            return_token_type_ids="token_type_ids" in names,
        )
        inputs = to_arrays(encoding, 0, names)
        if not inputs["input_ids"].size:  # GPT-2 and the like add no token of their own
            columns = " and ".join(self.text_columns.values())
            message = f"there is not a single token in {columns}: leave the row out"
            raise ConfigError("rows", [Problem("dataset.data_keys", message)])
        return (Encoded(inputs, None),)

    def decode(
        self, row: Mapping[str, Any], encoded: Sequence[Encoded], outputs: Sequence[Outputs]
    ) -> Prediction:
        """What the logits say.

        Args:
            row: the sample.
            encoded: its one input.
            outputs: one entry with `logits` [1, classes], or [1, 1] for a number.

        Returns:
            As `OneClass`, `SeveralClasses` or `OneNumber` says.
        """
        return self.answers.decode(outputs[0]["logits"][0])

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """The label of a row as the model has it: a class number, several, or a number.

        Raises:
            ConfigError: the label is none.
        """
        return self.answers.reference(row[self.label_column])

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """The metrics of the kind of answer, all as fractions.

        Raises:
            ValueError: no samples, or not as many references.
        """
        if not predictions:
            raise ValueError("nothing to score: there are no predictions")
        return self.answers.score(predictions, references)

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Random ordinary tokens without padding: int64 arrays [batch_size, input_length].

        Raises:
            ValueError: no length is given.
            UsageError: the model does not take that many tokens.
        """
        return self.tokenizer.random_inputs(batch_size, input_length, rng)


def _is_one_class(args: TextClassificationArgs) -> bool:
    return not (args.is_regression or args.is_multi_label)


def _is_classes(args: TextClassificationArgs) -> bool:
    return not args.is_regression


def _is_several_classes(args: TextClassificationArgs) -> bool:
    return args.is_multi_label


def _has_positive_class(args: TextClassificationArgs) -> bool:
    return args.positive_class is not None


def _is_number(args: TextClassificationArgs) -> bool:
    return args.is_regression


class TextClassification:
    """The task, before a model is known."""

    spec = TaskSpec(
        name="text-classification",
        data_keys=("text",),
        optional_data_keys=("text_pair",),
        num_ref_keys=1,
        metrics=(
            MetricSpec("accuracy", 100.0, True, applies=_is_classes),
            MetricSpec("macro_f1", 100.0, False, "macro_f1", _is_one_class),
            MetricSpec("matthews_correlation", 100.0, False, "matthews", _is_one_class),
            MetricSpec("f1", 100.0, False, "f1", _has_positive_class),
            MetricSpec("micro_f1", 100.0, False, "f1", _is_several_classes),
            MetricSpec("pearson", 100.0, False, "pearson", _is_number),
            MetricSpec("spearman", 100.0, False, "spearman", _is_number),
        ),
        uses_input_length=True,
        auto_class="AutoModelForSequenceClassification",
        architecture_suffix="ForSequenceClassification",
        output_names=("logits",),
        args=TextClassificationArgs,
    )

    def open(
        self,
        model_dir: Path,
        task_args: Mapping[str, JsonValue],
        data_keys: Mapping[str, str],
        ref_keys: Sequence[str],
        label_names: Sequence[str] | None,
        graph_inputs: Sequence[str] | None = None,
    ) -> TextClassificationRun:
        """Load the tokenizer of a model directory and match the classes by name.

        Of the model's inputs those are made that are among `graph_inputs`, if there are any.

        Raises:
            UsageError: the tokenizer is missing or unfit, or the model gives another kind of
                answer than `task_args` ask for.
            ConfigError: the dataset's classes are not the model's, or texts do not fit the model.
        """
        from transformers import AutoConfig

        args = TextClassificationArgs.model_validate(dict(task_args))
        tokenizer = load_tokenizer(model_dir, graph_inputs)
        keys = (*self.spec.data_keys, *self.spec.optional_data_keys)
        columns = {key: data_keys[key] for key in keys if key in data_keys}
        config = AutoConfig.from_pretrained(
            model_dir, local_files_only=True, trust_remote_code=False
        )
        id2label = {int(number): str(name) for number, name in config.id2label.items()}
        check_head(args, len(id2label), getattr(config, "problem_type", None), model_dir)
        by_number = None if args.is_regression else matched_by_number(label_names, id2label)
        return TextClassificationRun(
            tokenizer=tokenizer,
            length=_length(tokenizer, args.max_seq_length, len(columns)),
            text_columns=columns,
            label_column=ref_keys[0],
            answers=find_answers(args, ref_keys[0], label_names, id2label),
            notes=() if by_number is None else (by_number,),
        )


def _length(tokenizer: Tokenizer, asked: int | None, num_texts: int) -> int | None:
    """The number of tokens to cut at; None if nothing limits it."""
    if asked is None:
        return tokenizer.max_length
    check_length(tokenizer, asked)
    special = int(tokenizer.fast.num_special_tokens_to_add(pair=num_texts > 1))
    if asked < special + num_texts:
        message = f"{special} tokens are special, which leaves no room for the text"
        allowed = f"at least {special + num_texts}"
        problem = Problem("task_args.max_seq_length", message, str(asked), allowed)
        raise ConfigError("task_args", [problem])
    return asked


TASK = TextClassification()
