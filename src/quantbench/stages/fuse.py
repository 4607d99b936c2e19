"""Fusion before quantization: ONNX Runtime's own fused operators, written into the file.

What `onnxruntime.transformers.optimizer` does in Python, without the part that needs a session
(`opt_level` 0): that part is what `optimization_level` does anyway, when the file is opened.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx
from onnx import helper

from quantbench.core.errors import QuantbenchError

# Model types of transformers, and which of the optimizer's fusions are theirs.
FUSED_AS: dict[str, str] = {
    **dict.fromkeys(("bert", "camembert", "distilbert", "electra"), "bert"),
    **dict.fromkeys(("roberta", "xlm-roberta"), "bert"),
    **dict.fromkeys(("deit", "vit"), "vit"),
    "swin": "swin",
}
_DOMAIN = "com.microsoft"
_OFF = "Set framework_args.optimize_before_quantization to false."
# What transformers' configurations call them.
_HEADS = ("num_attention_heads", "n_heads")
_WIDTH = ("hidden_size", "dim")


def fuse_graph(
    model: onnx.ModelProto, model_config: Mapping[str, Any]
) -> tuple[onnx.ModelProto, dict[str, int]]:
    """Fuse the layer normalizations, GELUs, attentions and embeddings of a model.

    Attention keeps the mask as it is: any of its tokens may be masked, not only the last ones.

    Args:
        model: float32; it may be changed.
        model_config: the model's `config.json`.

    Returns:
        The fused model, and how many nodes of each operator type fusion made, at least one.

    Raises:
        QuantbenchError: no fusion is known for this type of model, the optimizer failed, or it
            found nothing to fuse.
    """
    model_type = str(model_config.get("model_type"))
    if model_type not in FUSED_AS:
        raise QuantbenchError(
            f"ONNX Runtime's optimizer has no fusions for models of type {model_type!r}; "
            f"it has for {', '.join(sorted(FUSED_AS))}",
            hint=_OFF,
        )
    before = Counter(node.op_type for node in model.graph.node)
    inputs = _given_inputs(model)
    try:
        with _quiet():
            fused = _optimized(model, FUSED_AS[model_type], model_config)
    except Exception as error:  # The optimizer raises bare exceptions of many kinds.
        what = f"{type(error).__name__}: {error}"
        raise QuantbenchError(
            f"ONNX Runtime's optimizer failed on this {model_type}: {what}", hint=_OFF
        ) from error
    if all(item.domain != _DOMAIN for item in fused.opset_import):
        fused.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    # The optimizer drops inputs that nothing reads, with which the file would not take a sample.
    there = {value.name for value in fused.graph.input}
    fused.graph.input.extend(value for value in inputs if value.name not in there)
    more = Counter(node.op_type for node in fused.graph.node) - before
    fused_nodes = [node for node in fused.graph.node if _is_fused(node)]
    own = {node.op_type for node in fused_nodes}
    made = {name: more[name] for name in sorted(more) if name in own}
    if not made:
        raise QuantbenchError(
            f"ONNX Runtime's optimizer finds nothing to fuse in this {model_type}", hint=_OFF
        )
    _tell_types(fused, fused_nodes)
    return fused, made


def _given_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Copies of the inputs of a graph; old files list its initializers among them."""
    stored = {tensor.name for tensor in model.graph.initializer}
    copies = onnx.GraphProto()
    copies.input.extend(value for value in model.graph.input if value.name not in stored)
    return list(copies.input)


def _is_fused(node: onnx.NodeProto) -> bool:
    """Whether fusion makes such nodes; the exporter too writes `LayerNormalization`."""
    return bool(node.domain == _DOMAIN or node.op_type == "LayerNormalization")


def _tell_types(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Say that the first outputs of nodes are float32: ONNX's type inference does not know them.

    Without it, it stops there, and the quantizers refuse or leave out what follows.
    """
    told = {value.name for value in (*model.graph.value_info, *model.graph.output)}
    model.graph.value_info.extend(
        helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
        for node in nodes
        if node.output[0] not in told
    )


def _optimized(
    model: onnx.ModelProto, fused_as: str, model_config: Mapping[str, Any]
) -> onnx.ModelProto:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions(fused_as)
    if fused_as == "bert":
        # Else a mask becomes the number of its ones, which are taken to come first.
        options.use_raw_attention_mask(True)
    # Swin has another number of heads in each stage: found in the graph.
    heads, width = (_first_int(model_config, names) for names in (_HEADS, _WIDTH))
    optimizer = optimize_model(
        model,
        model_type=fused_as,
        num_heads=heads,
        hidden_size=width if heads else 0,
        optimization_options=options,
        opt_level=0,
    )
    found: onnx.ModelProto = optimizer.model
    return found


def _first_int(model_config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """The first of these that is a number; 0 if none is, which lets the optimizer find it."""
    values = (model_config.get(name) for name in names)
    return next((value for value in values if isinstance(value, int)), 0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the optimizer logs of every fusion that it tried."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
