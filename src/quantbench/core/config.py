"""What the user wrote: the types of a sweep config.

The order of the fields is the order in which the card prints them. Descriptions end up in the
JSON Schema, so an editor shows them. Reading and checking a config is in `config_file`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, JsonValue

from quantbench.core.calibration import Calibration
from quantbench.core.exporters import MAX_OPSET, MIN_OPSET, Export, Exporter, default_exporter
from quantbench.core.frozen import Frozen
from quantbench.core.printable import shortened
from quantbench.core.quantization import (
    SCHEMES,
    Blocks,
    IntegerType,
    QuantFormat,
    Scheme,
)
from quantbench.core.timing_defaults import (
    DURATION_S,
    OPTIMIZATION_LEVEL,
    PRECISION,
    OptimizationLevel,
)
from quantbench.core.vocabulary import NodeExclusion, Operator

Value = TypeVar("Value")

NonEmptyStr = Annotated[str, Field(min_length=1)]
# What fits the integers of model files, runtimes and tables.
PositiveInt = Annotated[int, Field(ge=1, le=2**31 - 1)]
# The cells that are timed are all pairs of a batch size and an input length.
MAX_SHAPES = 100
MAX_DURATION_S = 86_400
# Hours of most models: more is a mistake.
MAX_WARMUP_RUNS = 10_000


def _each_once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    seen: set[Value] = set()
    for value in values:
        if value in seen:
            raise ValueError(f"must not hold a value twice: {shortened(str(value))}")
        seen.add(value)
    return values


EachOnce = AfterValidator(_each_once)

ONNX_SUFFIX = ".onnx"


class DatasetConfig(Frozen):
    """Where the samples are, and which columns mean what."""

    path: NonEmptyStr = Field(
        description=(
            "Hub name, a builder (json, csv, parquet, imagefolder) with data_files, "
            "a local folder, or bundled:questions / bundled:digits."
        )
    )
    name: NonEmptyStr | None = Field(None, description="Configuration of the dataset, if several.")
    revision: NonEmptyStr | None = Field(None, description="Git revision on the hub.")
    data_files: dict[str, str | tuple[str, ...]] | None = Field(
        None, description="Local files by split, for a builder."
    )
    eval_split: NonEmptyStr = Field("validation", description="Split that accuracy is measured on.")
    data_keys: dict[str, str] = Field(
        description=(
            "The task's names for its inputs, mapped to columns of the dataset; some are optional "
            "(text_pair)."
        )
    )
    ref_keys: tuple[str, ...] = Field(
        min_length=1, description="Columns that hold the references (answers, labels)."
    )
    calibration_split: NonEmptyStr | None = Field(
        None, description="Split that static quantization is calibrated on."
    )
    cluster_key: NonEmptyStr | None = Field(
        None,
        description="Column whose equal values are not independent (one context, one patient).",
    )
    allow_shared_samples: bool = Field(
        False,
        description=(
            "Static. Allow samples that are calibrated on to be evaluated too. They are compared "
            "by what they hold; the card says how many there are."
        ),
    )


class FrameworkArgs(Frozen):
    """How the model is exported and opened."""

    opset: Annotated[int, Field(ge=MIN_OPSET, le=MAX_OPSET)] = Field(
        17, description="ONNX opset of the exported file."
    )
    exporter: Exporter | None = Field(
        None,
        description=(
            "PyTorch's exporter. torchscript: opset 11 to 20. dynamo: opset 18 to 25. "
            "Left out: torchscript as far as it goes."
        ),
    )
    optimization_level: OptimizationLevel = Field(
        OPTIMIZATION_LEVEL,
        description="ONNX Runtime graph optimization: 0 none, 1 basic, 2 extended, 99 all.",
    )
    optimize_before_quantization: bool = Field(
        False,
        description=(
            "Write ONNX Runtime's fused operators (attention, GELU, layer normalization) into the "
            "file before it is quantized."
        ),
    )


# What a user waits for: the answer to one query, or a heap of samples. MLPerf Inference's terms.
Scenario = Literal["single-stream", "offline"]


class TimeBenchmarkArgs(Frozen):
    """How long and how exactly to time, and which of the times count."""

    duration: Annotated[float, Field(gt=0, le=MAX_DURATION_S)] = Field(
        DURATION_S, description="Run for up to this many seconds per arm and cell."
    )
    warmup_runs: Annotated[int, Field(ge=1, le=MAX_WARMUP_RUNS)] = Field(
        5, description="Least number of forwards before timing."
    )
    precision: Annotated[float, Field(gt=0, lt=1)] = Field(
        PRECISION,
        description="Relative half-width of the speed-up's interval at which timing may stop.",
    )
    scenario: Scenario = Field(
        "single-stream",
        description=(
            "What the card's times tell, in MLPerf Inference's terms. single-stream: latency, one "
            "query of batch_sizes samples after the other (ms, p90). offline: samples per second, "
            "batch after batch. The same is measured for both."
        ),
    )


class SweepConfig(Frozen):
    """One sweep: fixed parameters at top level, swept ones in `benchmarked`."""

    task: NonEmptyStr = Field(
        description=(
            "question-answering, text-classification, token-classification, feature-extraction or "
            "image-classification."
        )
    )
    model_name_or_path: NonEmptyStr = Field(
        description=(
            "Hub name, local directory in transformers layout, bundled:NAME, or an ONNX file with "
            "its config.json (./dir/model.onnx, or owner/name/onnx/model.onnx on the hub)."
        )
    )
    model_revision: NonEmptyStr | None = Field(None, description="Git revision on the hub.")
    dataset: DatasetConfig
    task_args: dict[str, JsonValue] = Field(
        default_factory=dict, description="Arguments of the task, such as max_seq_length."
    )
    metrics: Annotated[tuple[str, ...], EachOnce] | None = Field(
        None, min_length=1, description="Metrics to report; all of the task's when left out."
    )
    quantization_approach: Literal["dynamic", "static", "weight_only"] = Field(
        "dynamic",
        description=(
            "dynamic: weights in 8 bits, activation scales found at run time. "
            "static: weights and activations in 8 bits, activation scales from calibration. "
            "weight_only: weights in 4 or 8 bits, activations in floating point."
        ),
    )
    operators_to_quantize: Annotated[tuple[Operator, ...], EachOnce] = Field(
        ("MatMul",), min_length=1, description="ONNX operator types to quantize."
    )
    node_exclusion: Annotated[tuple[NodeExclusion, ...], EachOnce] = Field(
        (),
        description=(
            "Parts of the model whose nodes stay in floating point: layernorm, gelu, residual, "
            "gather, softmax, attention_scores, attention_context, classifier, layer.N (from 0, "
            "or negative from the end), block:NAME (a module's dotted name)."
        ),
    )
    per_channel: bool = Field(
        False, description="One weight scale per output channel. Static: from opset 13."
    )
    quant_format: QuantFormat = Field(
        "QDQ",
        description=(
            "Static. QDQ: float operators between QuantizeLinear and DequantizeLinear, which the "
            "runtime fuses. QOperator: integer operators in the file."
        ),
    )
    activation_type: IntegerType = Field(
        "uint8",
        description="Static. uint8 runs in integers everywhere; int8 often falls back to float.",
    )
    activation_symmetric: bool = Field(
        False, description="Static. Ranges of activations are made symmetric around zero."
    )
    weight_type: IntegerType = Field(
        "int8", description="Static and dynamic. uint8 weights are often slower."
    )
    weight_symmetric: bool = Field(
        True, description="Static and dynamic. Weights have no zero point (int8: 0, uint8: 128)."
    )
    reduce_range: bool = Field(
        False,
        description=(
            "Static and dynamic. Weights in 7 bits, so that sums of products do not saturate on "
            "x86 processors without VNNI."
        ),
    )
    quantize_activation_matmul: bool = Field(
        False,
        description=(
            "Static and dynamic. Also quantize the MatMuls of two activations, as in attention."
        ),
    )
    clamp_mask: bool = Field(
        True,
        description=(
            "Static. Clamp the huge negative constant of the attention mask, and keep the sums of "
            "mask and scores in floats: no range serves both."
        ),
    )
    smooth_quant_alpha: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description=(
            "Static. SmoothQuant's migration strength: at 0.5 activations and weights share what "
            "is hard to quantize, at 1 the weights take all of it; not done when left out."
        ),
    )
    calibration: Calibration = Field(
        default_factory=Calibration, description="Static quantization only."
    )
    weight_only: Blocks = Field(
        default_factory=Blocks, description="Weight-only quantization only."
    )
    framework: NonEmptyStr = Field("onnxruntime", description="Runtime of the optimized model.")
    framework_args: FrameworkArgs = Field(default_factory=FrameworkArgs)
    aware_training: bool = Field(
        False, description="Quantization-aware training is not supported: false only."
    )
    batch_sizes: Annotated[tuple[PositiveInt, ...], EachOnce] = Field(
        (1,), min_length=1, max_length=MAX_SHAPES
    )
    input_lengths: Annotated[tuple[PositiveInt, ...], EachOnce] = Field(
        (128,),
        min_length=1,
        max_length=MAX_SHAPES,
        description="Tokens per sample when timing; inert for images.",
    )
    time_benchmark_args: TimeBenchmarkArgs = Field(default_factory=TimeBenchmarkArgs)
    max_eval_samples: PositiveInt | None = Field(
        None, description="Evaluate this many samples; all of the split when left out."
    )
    sampling: Literal["random", "head"] = Field(
        "random", description="random: drawn with `seed`. head: the first ones."
    )
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    num_threads: PositiveInt | None = Field(
        None,
        description="Threads of a timed runtime; the physical cores allowed when left out.",
    )
    backend: NonEmptyStr = "local"
    backend_args: dict[str, JsonValue] = Field(default_factory=dict)
    benchmarked: dict[str, tuple[JsonValue, ...]] = Field(
        default_factory=dict,
        description="Parameters to sweep: name (dotted if nested) to the list of its values.",
    )

    def is_onnx_file(self) -> bool:
        """Whether the model is given as an ONNX file, so that nothing is exported."""
        return self.model_name_or_path.endswith(ONNX_SUFFIX)

    def export(self) -> Export:
        """How the top-level parameters have the model exported."""
        args = self.framework_args
        chosen = args.exporter or default_exporter(args.opset)
        return Export(opset=args.opset, exporter=None if self.is_onnx_file() else chosen)

    def approaches(self) -> tuple[str, ...]:
        """The quantization approaches of the rows."""
        swept = self.benchmarked.get("quantization_approach", (self.quantization_approach,))
        return tuple(map(str, swept))

    def is_calibrated(self) -> bool:
        """Whether any row is static, so that samples are calibrated on."""
        return "static" in self.approaches()

    def quantization(self) -> Scheme:
        """The quantization scheme that the top-level parameters describe."""
        scheme = SCHEMES[self.quantization_approach]
        names = scheme.model_fields.keys() - {"approach", "operators"}
        fields: dict[str, Any] = {name: getattr(self, name) for name in names}
        return scheme(operators=self.operators_to_quantize, **fields)


# What may be swept. Each row needs its own value of these; the others describe the whole run.
SWEEPABLE: tuple[str, ...] = (
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
    *(f"calibration.{name}" for name in Calibration.model_fields),
    *(f"weight_only.{name}" for name in Blocks.model_fields),
    "framework",
    "framework_args.opset",
    "framework_args.exporter",
    "framework_args.optimization_level",
    "framework_args.optimize_before_quantization",
    "aware_training",
)
