"""What a row asks for, as a tagged union: each scheme has only the fields that act in it.

A field has the name of the parameter of the config, but for `operators` and `approach`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from quantbench.core.calibration import Calibration
from quantbench.core.frozen import Frozen
from quantbench.core.vocabulary import NodeExclusion, Operator

QuantFormat = Literal["QDQ", "QOperator"]
IntegerType = Literal["int8", "uint8"]


class Blocks(Frozen):
    """How weights are stored in fewer bits: one scale for each block of a column."""

    bits: Literal[4, 8] = Field(4, description="Bits per weight.")
    block_size: Literal[16, 32, 64, 128, 256] = Field(
        32,
        description="Weights that share one scale: fewer are closer to the original, and larger.",
    )
    symmetric: bool = Field(
        True, description="true: scales only. false: a zero point for each block as well."
    )
    accuracy_level: Literal[0, 1, 2, 3, 4] = Field(
        4,
        description=(
            "What activations are computed in, at least: 1 float32, 2 float16, 3 bfloat16, 4 int8, "
            "0 anything. Of float32 activations, as here, 0, 2 and 3 are the same as 1."
        ),
    )


class Float32(Frozen):
    """The exported model as it is."""

    approach: Literal["float32"] = "float32"


class Dynamic(Frozen):
    """Integer operators: weights in 8 bits, uint8 activations whose scale is found at run time."""

    approach: Literal["dynamic"] = "dynamic"
    operators: tuple[Operator, ...]
    node_exclusion: tuple[NodeExclusion, ...] = ()
    per_channel: bool = False
    weight_type: IntegerType = "int8"
    weight_symmetric: bool = True
    reduce_range: bool = False
    quantize_activation_matmul: bool = False


class Static(Frozen):
    """Weights and activations in 8 bits, the ranges of activations from calibration."""

    approach: Literal["static"] = "static"
    operators: tuple[Operator, ...]
    node_exclusion: tuple[NodeExclusion, ...] = ()
    per_channel: bool = False
    quant_format: QuantFormat = "QDQ"
    activation_type: IntegerType = "uint8"
    activation_symmetric: bool = False
    weight_type: IntegerType = "int8"
    weight_symmetric: bool = True
    reduce_range: bool = False
    quantize_activation_matmul: bool = False
    clamp_mask: bool = True
    smooth_quant_alpha: float | None = None
    calibration: Calibration = Calibration()


class WeightOnly(Frozen):
    """Weights in 4 or 8 bits, block by block; activations stay in floating point."""

    approach: Literal["weight_only"] = "weight_only"
    operators: tuple[Operator, ...]
    node_exclusion: tuple[NodeExclusion, ...] = ()
    weight_only: Blocks = Blocks()


Scheme = Dynamic | Static | WeightOnly
Quantization = Annotated[Float32 | Dynamic | Static | WeightOnly, Field(discriminator="approach")]

SCHEMES: dict[str, type[Dynamic] | type[Static] | type[WeightOnly]] = {
    "dynamic": Dynamic,
    "static": Static,
    "weight_only": WeightOnly,
}
# Parameters of the config that only some schemes have, with the approaches of those.
APPROACHES_OF: dict[str, tuple[str, ...]] = {
    name: tuple(approach for approach, other in SCHEMES.items() if name in other.model_fields)
    for scheme in SCHEMES.values()
    for name in scheme.model_fields
    if name not in ("approach", "operators", "node_exclusion")
}


class Inert(Frozen):
    """A parameter, or one value of it, that changes nothing in this row, and why."""

    parameter: str
    value: str
    reason: str
