"""An explanation: a float file, a quantized file and samples in, the facts behind both out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from quantbench.core.errors import QuantbenchError
from quantbench.core.explanation import ActivationFacts, Explanation, Profile
from quantbench.core.plan import Cell
from quantbench.core.quantization import Float32, Quantization
from quantbench.core.vocabulary import NODE_EXCLUSIONS
from quantbench.graph.counts import default_opset, op_type_counts, quantized_names
from quantbench.graph.layers import components, find_blocks, layer_index
from quantbench.graph.patterns import find_exclusions, with_node_names
from quantbench.protocols import Inputs
from quantbench.runtimes.ort import open_session
from quantbench.stages import profile
from quantbench.stages.activations import (
    Tensor,
    compare_activations,
    compare_outputs,
)
from quantbench.stages.explain_graph import computing_nodes, idle_pairs, softmax_inputs
from quantbench.stages.explain_weights import compare_weights


@dataclass(frozen=True)
class Files:
    """A quantized file and the float file that it was made from, with how they are deployed."""

    exact: Path
    quantized: Path
    scheme: Quantization
    optimization_level: int
    num_threads: int


def explain_file(
    files: Files,
    samples: Sequence[Inputs],
    cell: Cell,
    inputs: Inputs,
    *,
    is_x86: bool,
    instructions: tuple[str, ...],
    on_sample: Callable[[int], None],
) -> Explanation:
    """Compare a quantized file with the float file that it was made from.

    Args:
        files: both, and how they are run.
        samples: inputs of the evaluation split, each of batch size 1.
        cell: the shape to profile.
        inputs: of that shape.
        is_x86: whether this is an x86 processor.
        instructions: the sets of instructions that it has (`core.instructions`).
        on_sample: called with the number of samples whose activations were compared.

    Returns:
        The facts; what follows from them is derived in `analysis.explain`.

    Raises:
        QuantbenchError: the file is not quantized, or one of the models does not run.
    """
    if isinstance(files.scheme, Float32):
        raise QuantbenchError("nothing was quantized in this file: there is nothing to compare")
    exact, quantized = with_node_names(onnx.load(files.exact)), onnx.load(files.quantized)
    asked = files.scheme.node_exclusion
    patterns = find_exclusions(exact, dict.fromkeys((*NODE_EXCLUSIONS, *asked)))
    excluded = frozenset[str]().union(*(patterns[name] for name in asked))
    layers = _layers(exact)
    with tempfile.TemporaryDirectory(prefix="quantbench-explain-") as name:
        folder = Path(name)
        activations = compare_activations(
            exact, quantized, samples, files.num_threads, folder, on_sample
        )
        outputs = compare_outputs(
            files.exact, files.quantized, samples, files.optimization_level, files.num_threads
        )
        times = profile.profile_models(
            (files.exact, files.quantized),
            inputs,
            files.optimization_level,
            files.num_threads,
            folder,
        )
        executed = _executed(files, folder / "executed.onnx")
    weights = compare_weights(exact, quantized, layers)
    really = quantized_names(exact, quantized, set(files.scheme.operators), excluded)
    makers = {name: node for node in exact.graph.node for name in node.output}
    softmax = softmax_inputs(exact)
    return Explanation(
        scheme=files.scheme,
        optimization_level=files.optimization_level,
        opset=default_opset(exact),
        num_samples=activations.num_samples,
        is_x86=is_x86,
        instructions=instructions,
        outputs=_facts(outputs, makers, layers, softmax),
        activations=_facts(activations.tensors, makers, layers, softmax),
        num_missing_activations=len(activations.float_names) - len(activations.tensors),
        weights=weights.found,
        num_missing_weights=weights.num_missing,
        nodes=computing_nodes(
            exact,
            activations.float_names,
            really,
            patterns,
            asked,
            layers,
        ),
        idle_pairs=idle_pairs(executed),
        executed_nodes=op_type_counts(executed),
        profile=Profile(
            cell=cell,
            num_threads=files.num_threads,
            num_forwards=profile.NUM_BLOCKS * profile.FORWARDS_PER_BLOCK,
            num_blocks=profile.NUM_BLOCKS,
            warmup_runs=profile.WARMUP_RUNS,
            reference=times[0],
            row=times[1],
        ),
    )


def _executed(files: Files, path: Path) -> onnx.ModelProto:
    """The graph that the quantized file's session really runs."""
    open_session(files.quantized, files.optimization_level, 1, optimized=path)
    return onnx.load(path)


def _facts(
    tensors: Mapping[str, Tensor],
    makers: Mapping[str, onnx.NodeProto],
    layers: Mapping[str, str],
    softmax: frozenset[str],
) -> tuple[ActivationFacts, ...]:
    return tuple(
        ActivationFacts(
            name=name,
            node=makers[name].name,
            op_type=makers[name].op_type,
            layer=layers.get(makers[name].name),
            error=tensor.error.compared(),
            rounding=None if tensor.rounding is None else tensor.rounding.compared(),
            scale=tensor.scale,
            range_abs=tensor.range_abs,
            max_abs=tensor.max_abs,
            p999_abs=_mean(tensor.p999),
            median_abs=_mean(tensor.median),
            feeds_softmax=name in softmax,
        )
        for name, tensor in tensors.items()
    )


def _layers(model: onnx.ModelProto) -> dict[str, str]:
    """What a node is listed under: `layer.N`, or else the two outermost modules that it is in."""
    found: dict[str, str] = {}
    for name, block in find_blocks(model).items():
        number = layer_index(block)
        outer = ".".join(components(block)[:2])
        if number is not None:
            found[name] = f"layer.{number}"
        elif outer:
            found[name] = outer
    return found


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
