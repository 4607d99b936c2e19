"""What a quantizer reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Files:
    """The files of one quantization.

    `source` is an ONNX file with unique node names, in a folder of its own: shape inference may
    write beside it. `target` is to be written. `ranges` is a calibration cache of ONNX Runtime over
    at least the scheme's operators, for static quantization.
    """

    source: Path
    target: Path
    ranges: Path | None = None
