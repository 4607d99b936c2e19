"""Loading one split of a dataset, checked against the columns that the config names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from quantbench.core.config import DatasetConfig
from quantbench.core.errors import ConfigError, Problem, nearest_name
from quantbench.data.builders import Origin
from quantbench.data.dataset_errors import refuse
from quantbench.data.fingerprint import class_label, fingerprint
from quantbench.data.sources import find_source

if TYPE_CHECKING:
    from datasets import Dataset

SplitParameter = Literal["dataset.eval_split", "dataset.calibration_split"]


@dataclass(frozen=True)
class Split:
    """One split.

    `rows` has all columns; images decode to PIL. `fingerprint` is of the columns that are used
    (see `data.fingerprint`). `class_names` has the names of each column of class labels, or of
    lists of them, in the order of their numbers. `origin` and `location` say what was really
    read, `revision` the commit if it came from the hub. `notes` are sentences that the user
    should see.
    """

    rows: Dataset
    fingerprint: str
    num_rows: int
    columns: tuple[str, ...]
    class_names: Mapping[str, tuple[str, ...]]
    origin: Origin
    location: str
    revision: str | None
    notes: tuple[str, ...]

    def row(self, index: int) -> dict[str, Any]:
        """One row with its values decoded.

        Raises:
            ConfigError: a value cannot be read: a damaged image, for example.
        """
        from PIL import Image

        try:
            row: dict[str, Any] = self.rows[index]
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            # What Pillow raises for files that are damaged, no images, or far too large.
            message = f"row {index} (the first is 0) cannot be read: {error}"
            raise ConfigError(self.location, [Problem("dataset", message)]) from None
        return row

    def empty_rows(self, column: str, indices: Sequence[int]) -> tuple[int, ...]:
        """Those of some rows whose value in a column is missing; nothing is decoded."""
        table = self.rows.select_columns([column]).with_format("arrow")[list(indices)]
        empty = table.column(0).is_null().to_pylist()
        return tuple(index for index, missing in zip(indices, empty, strict=True) if missing)

    def without_images(self, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Some rows with the columns that cost nothing to decode, in the order of `indices`."""
        from datasets import Image

        features = self.rows.features.items()
        cheap = [name for name, feature in features if not isinstance(feature, Image)]
        yield from self.rows.select_columns(cheap).select(indices)

    def label_names(self, column: str) -> tuple[str, ...] | None:
        """The class names of a column, or None if its values are not numbered classes."""
        return self.class_names.get(column)


def load_split(dataset: DatasetConfig, split: str, config_path: SplitParameter) -> Split:
    """Load a split.

    Args:
        dataset: the config's dataset.
        split: the name of the split.
        config_path: the parameter that names the split, for messages. Calibration reads inputs
            only, so a calibration split may be without the reference columns.

    Raises:
        ConfigError: the dataset, split or columns are not there; all missing columns at once.
    """
    source = find_source(dataset)
    if split not in source.splits:
        refuse(
            dataset,
            config_path.removeprefix("dataset."),
            f"no such split in {source.location}",
            given=split,
            allowed=", ".join(source.splits) or "none: the dataset is empty",
            nearest=nearest_name(split, source.splits),
        )
    rows = source.read(split)
    wanted = _wanted_columns(dataset, with_references=config_path == "dataset.eval_split")
    _check_columns(dataset, split, wanted, rows.column_names)
    if len(rows) == 0:
        parameter = config_path.removeprefix("dataset.")
        refuse(dataset, parameter, f"the split has no rows in {source.location}", given=split)
    return Split(
        rows=rows,
        fingerprint=fingerprint(rows, list(wanted.values())),
        num_rows=len(rows),
        columns=tuple(rows.column_names),
        class_names={
            name: tuple(label.names)
            for name, feature in rows.features.items()
            if (label := class_label(feature)) is not None
        },
        origin=source.origin,
        location=source.location,
        revision=source.revision,
        notes=source.notes,
    )


def _wanted_columns(dataset: DatasetConfig, *, with_references: bool) -> dict[str, str]:
    """Config parameter to the column that it names."""
    wanted = {f"dataset.data_keys.{key}": name for key, name in dataset.data_keys.items()}
    if with_references:
        wanted |= {f"dataset.ref_keys[{n}]": name for n, name in enumerate(dataset.ref_keys)}
        if dataset.cluster_key is not None:
            wanted["dataset.cluster_key"] = dataset.cluster_key
    return wanted


def _check_columns(
    dataset: DatasetConfig, split: str, wanted: Mapping[str, str], columns: list[str]
) -> None:
    problems = [
        Problem(
            parameter,
            f"no such column in the split {split}",
            given=name,
            allowed=", ".join(columns),
            nearest=nearest_name(name, columns),
        )
        for parameter, name in wanted.items()
        if name not in columns
    ]
    if problems:
        raise ConfigError(f"dataset {dataset.path}", problems)
