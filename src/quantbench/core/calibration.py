"""How activation ranges are found: the methods, and which parameter belongs to which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from quantbench.core.frozen import Frozen

CalibrationMethod = Literal["minmax", "moving_average", "entropy", "percentile"]

# The most to begin with, and the most that the entropy method searches through.
MAX_NUM_BINS = 8192

# The parameters that each method reads, with ONNX Runtime's own default for it.
METHOD_DEFAULTS: Mapping[CalibrationMethod, Mapping[str, Any]] = {
    "minmax": {"symmetric": False},
    "moving_average": {"averaging_constant": 0.01, "symmetric": False},
    "entropy": {"num_bins": 128, "num_quantized_bins": 128},
    "percentile": {"percentile": 99.999, "num_bins": 2048, "symmetric": True},
}
METHOD_FIELDS = tuple(dict.fromkeys(name for own in METHOD_DEFAULTS.values() for name in own))


class Calibration(Frozen):
    """How activation ranges are found: over which samples, by which method.

    The fields from `averaging_constant` on belong to some methods only; None is the method's own
    default. `docs/calibration.md` has the formulas.
    """

    method: CalibrationMethod = Field(
        "minmax",
        description=(
            "minmax: the smallest and largest value that each tensor took. "
            "moving_average: those of each sample, averaged. "
            "entropy: the range whose quantized histogram loses least. "
            "percentile: the range that holds this share of the values."
        ),
    )
    num_calibration_samples: int = Field(
        100, ge=1, le=2**31 - 1, description="Samples of dataset.calibration_split to run."
    )
    averaging_constant: float | None = Field(
        None, gt=0, le=1, description="moving_average: weight of each new sample (null: 0.01)."
    )
    percentile: float | None = Field(
        None, gt=0, le=100, description="percentile: percent of values to keep (null: 99.999)."
    )
    num_bins: int | None = Field(
        None,
        ge=2,
        le=MAX_NUM_BINS,
        description="entropy, percentile: bins of the first histogram (null: 128, 2048).",
    )
    num_quantized_bins: int | None = Field(
        None,
        ge=2,
        le=MAX_NUM_BINS,
        description="entropy: levels that a range is quantized to in the search (null: 128).",
    )
    symmetric: bool | None = Field(
        None,
        description=(
            "minmax, moving_average: ranges centred on zero (null: false). "
            "percentile: of absolute values (null: true)."
        ),
    )

    def unused_fields(self) -> tuple[str, ...]:
        """The fields that have a value and that the method does not read."""
        own = METHOD_DEFAULTS[self.method]
        return tuple(
            name for name in METHOD_FIELDS if name not in own and getattr(self, name) is not None
        )

    def effective(self) -> Calibration:
        """What acts: the method's own fields with their values, all others None.

        Two calibrations that find the same ranges are equal in this form.
        """
        own = METHOD_DEFAULTS[self.method]
        given = {name: getattr(self, name) for name in METHOD_FIELDS}
        acting = {
            name: (own[name] if value is None else value) if name in own else None
            for name, value in given.items()
        }
        return self.model_copy(update=acting)

    def reads(self) -> dict[str, Any]:
        """What decides the ranges besides model and data: the method and its own fields."""
        acting = self.effective()
        return {"method": self.method} | {
            name: getattr(acting, name) for name in METHOD_DEFAULTS[self.method]
        }


def methods_with(field: str) -> tuple[CalibrationMethod, ...]:
    """The methods that read a field."""
    return tuple(method for method, own in METHOD_DEFAULTS.items() if field in own)
