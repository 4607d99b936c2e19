"""How many samples well-known splits have: what `All dataset` stands for.

Source: the dataset cards on the hub (`dataset_info.splits.*.num_examples`). Names are those of
today, with the configuration where a dataset has several.
"""

from __future__ import annotations

from quantbench.core.config import DatasetConfig
from quantbench.data.moved_names import todays_name

_SIZES: dict[tuple[str, str | None], dict[str, int]] = {
    ("AI-Lab-Makerere/beans", None): {"train": 1034, "validation": 133, "test": 128},
    ("rajpurkar/squad", None): {"train": 87_599, "validation": 10_570},
    ("rajpurkar/squad_v2", None): {"train": 130_319, "validation": 11_873},
    ("nyu-mll/glue", "sst2"): {"train": 67_349, "validation": 872, "test": 1_821},
    ("nyu-mll/glue", "mrpc"): {"train": 3_668, "validation": 408, "test": 1_725},
    ("nyu-mll/glue", "rte"): {"train": 2_490, "validation": 277, "test": 3_000},
    ("nyu-mll/glue", "cola"): {"train": 8_551, "validation": 1_043, "test": 1_063},
    ("nyu-mll/glue", "qnli"): {"train": 104_743, "validation": 5_463, "test": 5_463},
    ("nyu-mll/glue", "qqp"): {"train": 363_846, "validation": 40_430, "test": 390_965},
    ("nyu-mll/glue", "mnli"): {
        "train": 392_702,
        "validation_matched": 9_815,
        "validation_mismatched": 9_832,
    },
    ("nyu-mll/glue", "stsb"): {"train": 5_749, "validation": 1_500, "test": 1_379},
    ("nyu-mll/glue", "wnli"): {"train": 635, "validation": 71, "test": 146},
}
# A default configuration has a name too, which a card may give.
_DEFAULT_NAMES = frozenset({"default", "plain_text", "squad_v2"})


def split_size(dataset: DatasetConfig) -> int | None:
    """The number of samples of the evaluation split; None where it is not known."""
    name = None if dataset.name in _DEFAULT_NAMES else dataset.name
    sizes = _SIZES.get((todays_name("dataset", dataset.path), name), {})
    return sizes.get(dataset.eval_split)
