"""What tests of quantization share."""

from collections.abc import Callable
from pathlib import Path

import onnx

from quantbench.core.quantization import Dynamic, Static
from quantbench.graph.digest import graph_digest
from quantbench.stages.quantize import QuantizeFacts, quantize_model
from tiny_models import Models

OPERATORS = ["Add", "Conv", "MatMul", "Mul", "Softmax", "Where"]
Ranges = Callable[[str, int], Path]


def quantized(
    models: Models, kind: str, opset: int, scheme: Dynamic | Static, ranges: Ranges, path: Path
) -> QuantizeFacts:
    found = ranges(kind, opset) if isinstance(scheme, Static) else None
    return quantize_model(models.exported(kind, opset), scheme, found, path)


def digest(path: Path) -> str:
    return graph_digest(onnx.load(path))
