"""Facts of models and datasets, as they would be read from their files."""

from pathlib import Path
from typing import Any

from quantbench.data.describe import ColumnFacts, DatasetFacts, Kind, SplitFacts
from quantbench.data.models import ModelSource


def model(architecture: str, **config: Any) -> ModelSource:
    return ModelSource(
        name="some/model",
        directory=Path("model"),
        revision=None,
        digest="0" * 64,
        num_parameters=1,
        config=config,
        model_type=config.get("model_type", "distilbert"),
        architecture=architecture,
        license=None,
        notes=(),
    )


def reader(**config: Any) -> ModelSource:
    return model("DistilBertForQuestionAnswering", **({"max_position_embeddings": 512} | config))


def classifier(*names: str) -> ModelSource:
    id2label = {str(number): name for number, name in enumerate(names)}
    return model("ViTForImageClassification", model_type="vit", id2label=id2label)


def tagger(*names: str) -> ModelSource:
    id2label = {str(number): name for number, name in enumerate(names)}
    return model("BertForTokenClassification", model_type="bert", id2label=id2label)


def column(name: str, kind: Kind, *class_names: str) -> ColumnFacts:
    return ColumnFacts(name, kind, class_names)


SQUAD = (
    column("id", "text"),
    column("title", "text"),
    column("context", "text"),
    column("question", "text"),
    column("answers", "answers"),
)


def images(*class_names: str) -> tuple[ColumnFacts, ...]:
    return (column("image", "image"), column("labels", "classes", *class_names))


def dataset(*columns: ColumnFacts, **changes: Any) -> DatasetFacts:
    """A dataset; `splits` gives the rows of each split, if not 100 each."""
    sizes = changes.pop("splits", {"train": 100, "validation": 100})
    splits = tuple(SplitFacts(name, num_rows, columns) for name, num_rows in sizes.items())
    facts = {"path": "owner/data", "name": None, "revision": None, "data_files": None}
    return DatasetFacts(splits=splits, **(facts | changes))
