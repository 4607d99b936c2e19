"""Which split and which column is what: by the kind of a column first, then by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantbench.data.describe import ColumnFacts, Kind, SplitFacts
from quantbench.starter.entries import Entry, guessed, to_fill_in

_EVAL_SPLITS = ("validation", "valid", "val", "dev", "eval", "test")
_CALIBRATION_SPLITS = ("calibration", "train", "training")
_SHOWN = 12


@dataclass(frozen=True)
class Wanted:
    """What a column must be like: its kinds, the best first, and the names it often has."""

    kinds: tuple[Kind, ...]
    names: tuple[str, ...]


# By task, and by the task's own name for the input. Other tasks: columns of the same names.
WANTED: dict[str, dict[str, Wanted]] = {
    "question-answering": {
        "question": Wanted(("text",), ("question", "query")),
        "context": Wanted(("text",), ("context", "passage", "paragraph", "document", "text")),
        "references": Wanted(("answers", "texts", "text"), ("answers", "answer", "gold_answers")),
    },
    "image-classification": {
        "primary": Wanted(("image",), ("image", "img", "picture", "pixels")),
        "references": Wanted(
            ("classes", "integer", "text"),
            ("label", "labels", "class", "target", "category", "fine_label"),
        ),
    },
    "text-classification": {
        "text": Wanted(
            ("text",),
            ("text", "sentence1", "question1", "premise", "question", "sentence", "content"),
        ),
        "references": Wanted(
            ("classes", "integer", "text"),
            ("label", "labels", "class", "target", "category", "coarse_label", "sentiment"),
        ),
    },
    "token-classification": {
        "tokens": Wanted(("texts",), ("tokens", "words")),
        "references": Wanted(
            ("tags", "integers", "texts"),
            ("ner_tags", "tags", "labels", "ner", "pos_tags", "chunk_tags"),
        ),
    },
    "feature-extraction": {
        "text": Wanted(("text",), ("sentence1", "text1", "text", "first")),
        "text_pair": Wanted(("text",), ("sentence2", "text2", "text_pair", "second")),
        "references": Wanted(
            ("number", "integer"), ("score", "similarity_score", "similarity", "label")
        ),
    },
}
# References that are no class numbers or names, by the argument of the task that asks for them.
OTHER_REFERENCES: dict[str, Wanted] = {
    "is_regression": Wanted(
        ("number", "integer"), ("label", "labels", "score", "similarity_score", "rating", "target")
    ),
    "is_multi_label": Wanted(
        ("texts", "tags", "integers", "other"), ("labels", "label", "classes", "tags")
    ),
}
# The names of the second of two texts, by that of the first: GLUE's, and text_pair.
_SECOND_TEXT = {
    "text": "text_pair",
    "sentence1": "sentence2",
    "question1": "question2",
    "premise": "hypothesis",
    "question": "sentence",
}


@dataclass(frozen=True)
class Found:
    """A column that was chosen, and why in words."""

    column: ColumnFacts
    why: str


def find_columns(columns: Sequence[ColumnFacts], wanted: Mapping[str, Wanted]) -> dict[str, Found]:
    """The columns that are meant; an input is missing where there is none, or could be several.

    A column is taken by its name if it is of a fitting kind. Without a name it must be the only
    one of the best kind, and wanted by one input only.
    """
    found: dict[str, Found] = {}
    for key, want in wanted.items():
        named = _by_column_name(columns, want)
        if named is not None:
            found[key] = Found(named, f"from its name; it holds {kind_in_words(named)}")
    for key, want in wanted.items():
        taken = [item.column for item in found.values()]
        best = want.kinds[0]
        free = [column for column in columns if column.kind == best and column not in taken]
        rivals = [k for k, w in wanted.items() if k not in found and w.kinds[0] == best]
        if rivals == [key] and len(free) == 1:
            found[key] = Found(free[0], f"the only column that holds {kind_in_words(free[0])}")
    return found


def find_second_text(columns: Sequence[ColumnFacts], first: Found | None) -> Found | None:
    """The column of the second text of a pair; None where there is one text only."""
    if first is None:
        return None
    name = _SECOND_TEXT.get(first.column.name.lower())
    named = None if name is None else _by_column_name(columns, Wanted(("text",), (name,)))
    if named is None:
        return None
    return Found(named, f"from its name, beside {first.column.name}")


def _by_column_name(columns: Sequence[ColumnFacts], want: Wanted) -> ColumnFacts | None:
    for kind in want.kinds:
        by_name = {column.name.lower(): column for column in columns if column.kind == kind}
        for name in want.names:
            if name in by_name:
                return by_name[name]
    return None


def kind_in_words(column: ColumnFacts) -> str:
    """What a column holds."""
    return {
        "text": "text",
        "image": "images",
        "classes": f"numbers of {len(column.class_names)} named classes",
        "integer": "whole numbers",
        "number": "numbers",
        "texts": "lists of texts",
        "tags": f"lists of numbers of {len(column.class_names)} named classes",
        "integers": "lists of whole numbers",
        "answers": "answers in the form of SQuAD",
        "other": "something else",
    }[column.kind]


def columns_in_words(columns: Sequence[ColumnFacts]) -> str:
    """The columns with what they hold, as many as fit on a few lines."""
    listed = [f"{column.name} ({kind_in_words(column)})" for column in columns[:_SHOWN]]
    return ", ".join(listed) + (f", … {len(columns)} in all" if len(columns) > _SHOWN else "")


def find_eval_split(splits: Sequence[SplitFacts]) -> SplitFacts | None:
    """The split to evaluate on: one held out, or the only one."""
    filled = [split for split in splits if split.num_rows > 0]
    named = _by_name(filled, _EVAL_SPLITS)
    return named or (filled[0] if len(filled) == 1 else None)


def find_calibration_split(
    splits: Sequence[SplitFacts], evaluated: SplitFacts | None
) -> SplitFacts | None:
    """A split to calibrate on: one made for training, never the one that is evaluated."""
    others = [split for split in splits if split != evaluated and split.num_rows > 0]
    return _by_name(others, _CALIBRATION_SPLITS)


def eval_split_entry(splits: Sequence[SplitFacts], found: SplitFacts | None) -> Entry:
    """The line of `eval_split`."""
    listed = splits_in_words(splits)
    if found is None:
        # The parameter has a default, so leaving it out would not be noticed.
        return Entry("eval_split", "", f"fill in: one of the splits {listed}")
    why = f"from its name, of the splits {listed}"
    if len(splits) == 1:
        why = f"the only split, {listed}; was the model trained on it?"
    return guessed("eval_split", found.name, why)


def calibration_split_entry(splits: Sequence[SplitFacts], found: SplitFacts | None) -> Entry:
    """The line of `calibration_split`, which a config can be without."""
    if found is not None:
        rows = f"{found.num_rows:,} rows"
        return guessed("calibration_split", found.name, f"from its name, {rows}; not evaluated on")
    return Entry(
        "calibration_split",
        "...",
        f"optional: no split for training among {splits_in_words(splits)}; without one there are "
        "only dynamic rows",
        filled=False,
    )


def column_entry(key: str, found: Found | None, columns: Sequence[ColumnFacts]) -> Entry:
    """The line that maps an input of the task to a column."""
    if found is not None:
        return guessed(key, found.column.name, found.why)
    return to_fill_in(key, f"one of the columns {columns_in_words(columns)}")


def splits_in_words(splits: Sequence[SplitFacts]) -> str:
    """The splits with their sizes."""
    listed = [f"{split.name} ({split.num_rows:,} rows)" for split in splits[:_SHOWN]]
    return ", ".join(listed) + (f", … {len(splits)} in all" if len(splits) > _SHOWN else "")


def _by_name(splits: Sequence[SplitFacts], names: Sequence[str]) -> SplitFacts | None:
    """The first name that is that of a split, or else begins or ends one (`validation_matched`)."""
    by_name = {split.name.lower(): split for split in splits}
    for name in names:
        if name in by_name:
            return by_name[name]
    for name in names:
        for found, split in by_name.items():
            if found.startswith(f"{name}_") or found.endswith(f"_{name}"):
                return split
    return None
