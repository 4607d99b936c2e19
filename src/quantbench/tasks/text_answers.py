"""What kind of answer is asked of a text classifier, and whether its head gives that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.core.frozen import Frozen
from quantbench.tasks.labels import REFERENCE_PARAMETER, align_labels, class_names, label_id
from quantbench.tasks.one_class import OneClass
from quantbench.tasks.one_number import OneNumber
from quantbench.tasks.several_classes import SeveralClasses

Answers = OneClass | SeveralClasses | OneNumber

# What `problem_type` in config.json says a model was trained for, and how a config says the same.
_HOW_TO_ASK = {
    "regression": "Set task_args.is_regression: true.",
    "multi_label_classification": "Set task_args.is_multi_label: true.",
    "single_label_classification": "Leave task_args.is_regression and is_multi_label out.",
}


class TextClassificationArgs(Frozen):
    """What an answer is, and where texts are cut."""

    max_seq_length: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Tokens that are kept, at most; the model's own limit when left out."
    )
    is_regression: bool = Field(False, description="The answer is a number, not a class.")
    is_multi_label: bool = Field(
        False, description="A text can be of several classes at once, or of none."
    )
    positive_class: str | int | None = Field(
        None,
        description=(
            "Name or number of the class that the metric f1 is of, as the label column has it; "
            "there is no f1 when left out."
        ),
    )

    @field_validator("is_multi_label")
    @classmethod
    def _a_number_is_no_class(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("is_regression"):
            raise ValueError("contradicts is_regression: an answer is a number, or it is classes")
        return value

    @field_validator("positive_class", mode="before")
    @classmethod
    def _a_class_is_named_or_numbered(cls, value: object) -> object:
        if value is None or (isinstance(value, str | int) and not isinstance(value, bool)):
            return value
        raise PydanticCustomError("positive_class", "the name or the number of a class")

    @field_validator("positive_class")
    @classmethod
    def _one_of_several_classes(cls, value: object, info: ValidationInfo) -> object:
        for other in ("is_regression", "is_multi_label"):
            if value is not None and info.data.get(other):
                raise ValueError(f"means nothing with {other}: it says what class f1 is of")
        return value


def check_head(
    args: TextClassificationArgs, num_outputs: int, trained_for: str | None, model_dir: Path
) -> None:
    """Refuse a model that gives another kind of answer than is asked for.

    Args:
        args: what is asked for.
        num_outputs: of the model.
        trained_for: `problem_type` in its config.json, None if it says nothing.
        model_dir: for the message.

    Raises:
        UsageError: the message says how to ask for what the model gives.
    """
    asked = "single_label_classification"
    if args.is_regression:
        asked = "regression"
    elif args.is_multi_label:
        asked = "multi_label_classification"
    if trained_for in _HOW_TO_ASK and trained_for != asked:
        raise UsageError(
            f"the model in {model_dir} was trained for {trained_for} (problem_type in "
            f"config.json), task_args ask for {asked}",
            hint=_HOW_TO_ASK[trained_for],
        )
    if num_outputs == 1 and not args.is_regression:
        raise UsageError(
            f"the model in {model_dir} has one output, which is a number and no class",
            hint=_HOW_TO_ASK["regression"],
        )
    if num_outputs > 1 and args.is_regression:
        raise UsageError(
            f"the model in {model_dir} has {num_outputs} outputs, task_args.is_regression is for "
            "models with one",
            hint="Leave is_regression out if they are classes; several numbers are not supported.",
        )


def find_answers(
    args: TextClassificationArgs,
    label_column: str,
    label_names: Sequence[str] | None,
    id2label: Mapping[int, str],
) -> Answers:
    """What reads and scores the answers that are asked for.

    Args:
        args: what is asked for.
        label_column: of the dataset.
        label_names: its class names in order, None if it has none.
        id2label: the model's class names by number.

    Raises:
        ConfigError: the classes are not the model's, or there is no such positive class.
    """
    if args.is_regression:
        if label_names is not None:
            message = (
                f"the column {label_column} holds classes ({', '.join(label_names):.200}), "
                "task_args.is_regression is for numbers"
            )
            raise ConfigError("labels", [Problem(REFERENCE_PARAMETER, message)])
        return OneNumber(label_column)
    aligned = align_labels(label_names, id2label)
    names = class_names(label_names, id2label)
    if args.is_multi_label:
        return SeveralClasses(names, aligned)
    positive = None
    if args.positive_class is not None:
        positive = _positive(args.positive_class, aligned, names)
    return OneClass(names, aligned, positive)


def _positive(value: str | int, aligned: Sequence[int] | None, names: Mapping[int, str]) -> int:
    try:
        return label_id(value, aligned, names)
    except ConfigError as error:
        path = "task_args.positive_class"
        problems = [dataclasses.replace(problem, path=path) for problem in error.problems]
        raise ConfigError("task_args", problems) from error
