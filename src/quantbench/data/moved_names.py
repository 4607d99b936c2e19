"""Names that moved on the hub: those from before every repository had an owner.

The hub redirects an old name, but without a network nothing does, and the libraries refuse a
dataset whose name has no owner. So an old name is replaced before anything looks for it, and the
user is told.
"""

from __future__ import annotations

from typing import Literal

Kind = Literal["model", "dataset"]


MODELS = {
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-cased-whole-word-masking-finetuned-squad": (
        "google-bert/bert-large-cased-whole-word-masking-finetuned-squad"
    ),
    "bert-large-uncased-whole-word-masking-finetuned-squad": (
        "google-bert/bert-large-uncased-whole-word-masking-finetuned-squad"
    ),
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "distilbert-base-cased-distilled-squad": "distilbert/distilbert-base-cased-distilled-squad",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "distilbert-base-uncased-distilled-squad": (
        "distilbert/distilbert-base-uncased-distilled-squad"
    ),
    "distilbert-base-uncased-finetuned-sst-2-english": (
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    ),
}

DATASETS = {
    "beans": "AI-Lab-Makerere/beans",
    "conll2003": "eriktks/conll2003",
    "glue": "nyu-mll/glue",
    "squad": "rajpurkar/squad",
}

# Their main branch has a script, which is not run any more; the hub keeps a Parquet copy here.
PARQUET_REVISION = "refs/convert/parquet"
SCRIPTS = frozenset({"eriktks/conll2003"})


def todays_name(kind: Kind, name: str) -> str:
    """The name under which the hub has a model or a dataset today.

    Args:
        kind: the same name may be both.
        name: a name on the hub, old or not.
    """
    return (MODELS if kind == "model" else DATASETS).get(name, name)


def todays_revision(kind: Kind, name: str) -> str | None:
    """The revision to take if the user names none; None for the default branch.

    Args:
        kind: model or dataset.
        name: today's name.
    """
    return PARQUET_REVISION if kind == "dataset" and name in SCRIPTS else None
