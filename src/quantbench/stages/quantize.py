"""Quantization: a float file and a scheme in, a quantized file out."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Dynamic, Scheme, Static, WeightOnly
from quantbench.core.results import NodeCounts
from quantbench.graph.counts import node_counts, op_type_counts
from quantbench.graph.dataflow import subgraphs
from quantbench.graph.masks import masked_nodes
from quantbench.graph.matmuls import activation_matmuls
from quantbench.graph.patterns import find_exclusions, matched_names, with_node_names
from quantbench.graph.shared_weights import with_own_weights
from quantbench.graph.smooth_quant import is_inserted
from quantbench.stages.quantizers import dynamic, static, weight_only
from quantbench.stages.quantizers.files import Files


@dataclass(frozen=True)
class QuantizeFacts:
    """What was written.

    `nodes` by operator type that was to be quantized; `exclusion_matches` the number of nodes
    that each exclusion of the scheme describes in the exported graph, `exclusion_effects` the
    number of those that would otherwise be quantized. `num_masked_nodes` counts the nodes that see
    the attention mask, which stay in floats where it is clamped; None where it is not.
    """

    nodes: Mapping[str, NodeCounts]
    exclusion_matches: Mapping[str, int]
    exclusion_effects: Mapping[str, int]
    num_masked_nodes: int | None


def quantize_model(
    prepared: Path, scheme: Scheme, ranges: Path | None, output: Path
) -> QuantizeFacts:
    """Quantize a model with ONNX Runtime.

    Excluded nodes are named one by one to the quantizer, and so are the MatMuls of two
    activations where they are not to be quantized, and what sees the attention mask where that is
    clamped: no range serves both a mask and scores.

    Args:
        prepared: a float ONNX file; it is not touched.
        scheme: what to quantize.
        ranges: the file of `collect_ranges` over at least the scheme's operators; for static only.
        output: the file to write. It may still be one that the runtime refuses: see `check_file`.

    Raises:
        QuantbenchError: ranges are missing, or superfluous, or the quantizer failed.
    """
    if isinstance(scheme, Static) != (ranges is not None):
        raise QuantbenchError("static quantization needs the ranges of a calibration, others none")
    model = with_node_names(onnx.load(prepared))
    wanted = find_exclusions(model, scheme.node_exclusion)
    operators = set(scheme.operators)
    matched = matched_names(wanted, scheme.node_exclusion)
    masked = masked_nodes(model) if isinstance(scheme, Static) and scheme.clamp_mask else None
    kept = _kept(model, scheme) | (masked or frozenset())
    excluded = sorted(matched | kept)
    if isinstance(scheme, Dynamic) and "MatMul" in operators and "Gemm" in op_type_counts(model):
        # The quantizer first makes MatMul and Add of each Gemm: it is asked for with MatMul, and
        # excluded under the name that its MatMul is given.
        operators.add("Gemm")
        excluded += sorted(f"{name}_MatMul" for name in matched)
    in_question = {
        node.name
        for node in model.graph.node
        if node.op_type in operators and node.name not in kept
    }
    if isinstance(scheme, Static) and scheme.quant_format == "QOperator":
        _refuse_reading_subgraphs(model)
    model = with_own_weights(model, matched & in_question, in_question - matched)
    _forget_shapes_of_weights(model)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".quantize-") as folder:
        # Shape inference writes beside its input, hence a copy of our own.
        source, target = Path(folder) / "named.onnx", Path(folder) / "quantized.onnx"
        onnx.save(model, source)
        try:
            with _quiet():
                _run_quantizer(Files(source, target, ranges), scheme, excluded)
        except Exception as error:  # The quantizer raises bare exceptions of many kinds.
            raise QuantbenchError(
                f"ONNX Runtime cannot quantize {', '.join(scheme.operators)} "
                f"({scheme.approach}): {type(error).__name__}: {error}"
            ) from error
        quantized = onnx.load(target)
        target.replace(output)
    return QuantizeFacts(
        nodes=node_counts(model, quantized, wanted, operators),
        exclusion_matches={name: len(names) for name, names in wanted.items()},
        exclusion_effects={name: len(names & in_question) for name, names in wanted.items()},
        num_masked_nodes=None if masked is None else len(masked),
    )


def _forget_shapes_of_weights(model: onnx.ModelProto) -> None:
    """The quantizer transposes the weight of a Gemm, and not what the file says of its shape.

    Files of the dynamo exporter say it of every initializer, though each has its shape itself.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _refuse_reading_subgraphs(model: onnx.ModelProto) -> None:
    """QOperator replaces float tensors, and does not see who reads them inside a subgraph."""
    for node in model.graph.node:
        if any(True for _ in subgraphs(node)):
            raise QuantbenchError(
                f"static QOperator cannot quantize a graph with control flow: {node.name} is "
                f"{node.op_type}",
                hint="Take quant_format QDQ, or dynamic quantization.",
            )


def _kept(model: onnx.ModelProto, scheme: Scheme) -> frozenset[str]:
    """Nodes that stay in float for what they read: two activations, or the outliers of one."""
    smoothing = {node.name for node in model.graph.node if is_inserted(node)}
    if isinstance(scheme, WeightOnly) or scheme.quantize_activation_matmul:
        return frozenset(smoothing)
    return activation_matmuls(model) | smoothing


def _run_quantizer(files: Files, scheme: Scheme, excluded: list[str]) -> None:
    match scheme:
        case Dynamic():
            dynamic.quantize(files, scheme, excluded)
        case Static():
            static.quantize(files, scheme, excluded)
        case WeightOnly():
            weight_only.quantize(files, scheme, excluded)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the advice that the quantizer gives through the root logger on every call."""

    def not_quantizer(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in Path(record.pathname).parts

    root = logging.getLogger()
    # With a handler there, logging.warning() does not install one that prints to stderr for good.
    handler = logging.NullHandler()
    root.addHandler(handler)
    root.addFilter(not_quantizer)
    try:
        yield
    finally:
        root.removeFilter(not_quantizer)
        root.removeHandler(handler)
