"""Which parameters the header of a card prints, and what their values are."""

from __future__ import annotations

from collections.abc import Mapping

from quantbench.core.config import SweepConfig
from quantbench.core.frozen import Frozen

# Printed as fixed parameters where they were given. How accuracy and time were measured is said
# where their numbers are, and the whole config under "How to reproduce".
PARAMETERS: tuple[str, ...] = (
    "model_name_or_path",
    "model_revision",
    "dataset",
    "task_args",
    "quantization_approach",
    "operators_to_quantize",
    "node_exclusion",
    "per_channel",
    "quant_format",
    "activation_type",
    "activation_symmetric",
    "weight_type",
    "weight_symmetric",
    "reduce_range",
    "quantize_activation_matmul",
    "clamp_mask",
    "smooth_quant_alpha",
    "calibration",
    "weight_only",
    "framework",
    "framework_args",
    "aware_training",
)


def _parts() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in PARAMETERS:
        kind = SweepConfig.model_fields[name].annotation
        if isinstance(kind, type) and issubclass(kind, Frozen):
            found[name] = tuple(kind.model_fields)
    return found


# The parameters that hold others. In collapsed text nothing but the names tells what is nested.
PARTS: Mapping[str, tuple[str, ...]] = _parts()

# Values that are text whatever they look like: a model may be called `2022` or `True`.
TEXTS: frozenset[str] = frozenset(
    {"model_name_or_path", "framework", "dataset.path", "dataset.eval_split"}
)
# The same, but for `None`, which stands for nothing.
OPTIONAL_TEXTS: frozenset[str] = frozenset(
    {
        "model_revision",
        "dataset.name",
        "dataset.revision",
        "dataset.calibration_split",
        "dataset.cluster_key",
    }
)
