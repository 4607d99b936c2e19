"""The exporters of PyTorch, and which opsets each of them writes so that ONNX Runtime takes them.

Found by trying all of them, with torch 2.13 and ONNX Runtime 1.31 (`docs/export.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from quantbench.core.frozen import Frozen

Exporter = Literal["torchscript", "dynamo"]
EXPORTERS: tuple[Exporter, ...] = get_args(Exporter)

# The first and the last opset. Asked for an older one, dynamo writes 18, or a file that is not
# valid; ONNX Runtime knows neither Gelu nor Attention of opset 26.
OPSETS: Mapping[Exporter, tuple[int, int]] = {"torchscript": (11, 20), "dynamo": (18, 25)}
MIN_OPSET = min(first for first, _ in OPSETS.values())
MAX_OPSET = max(last for _, last in OPSETS.values())
# How far outputs may be from PyTorch's, over their largest. Sums in another order differ by 1e-6
# to 1e-4 of it in float32; a wrong graph (a constant that should depend on the input, a lost mask)
# by a tenth and more.
EXPORT_TOLERANCE = 1e-3


class Export(Frozen):
    """How a model becomes an ONNX file. `exporter` is None for a file that was given."""

    opset: int
    exporter: Exporter | None = "torchscript"

    @property
    def name(self) -> str:
        """For example `opset 11`, or `opset 18, dynamo`."""
        return f"opset {self.opset}" + (", dynamo" if self.exporter == "dynamo" else "")


def default_exporter(opset: int) -> Exporter:
    """TorchScript as far as it goes, which is faster and whose GELU is fused; then dynamo."""
    return "torchscript" if opset <= OPSETS["torchscript"][1] else "dynamo"


def export_refusal(export: Export) -> str | None:
    """Why no such file can be made, and what works; None if it can."""
    if export.exporter is None or _writes(export.exporter, export.opset):
        return None
    first, last = OPSETS[export.exporter]
    others = [name for name in EXPORTERS if _writes(name, export.opset)]
    instead = f", or framework_args.exporter {' or '.join(others)}" if others else ""
    return (
        f"the exporter {export.exporter} does not write opset {export.opset}: take "
        f"framework_args.opset {first} to {last}{instead}"
    )


def no_export_works(exports: Iterable[Export]) -> str | None:
    """Why none of these files can be made: the reason of the first; None if one can."""
    reasons = [export_refusal(export) for export in exports]
    return None if None in reasons or not reasons else reasons[0]


def _writes(exporter: Exporter, opset: int) -> bool:
    first, last = OPSETS[exporter]
    return first <= opset <= last
