"""What is done to a float graph before it is calibrated and quantized."""

from __future__ import annotations

from quantbench.core.exporters import Export
from quantbench.core.frozen import Frozen


class Smoothing(Frozen):
    """SmoothQuant: its migration strength, and over how many samples maxima are taken."""

    alpha: float
    num_calibration_samples: int


class Preparation(Frozen):
    """Changes to a float graph, in the order in which they are made.

    `fuse`: ONNX Runtime's fused operators are written into the file. `clamp_mask`: constants of
    attention masks are clamped. `smoothing`: outliers of activations move into weights.
    """

    fuse: bool = False
    clamp_mask: bool = False
    smoothing: Smoothing | None = None

    @property
    def name(self) -> str:
        """For example `fused, clamped mask`; empty if nothing is done."""
        parts = ["fused"] if self.fuse else []
        parts += ["clamped mask"] if self.clamp_mask else []
        if self.smoothing is not None:
            count = self.smoothing.num_calibration_samples
            parts.append(f"smoothed {self.smoothing.alpha} over {count} samples")
        return ", ".join(parts)


class FloatModel(Frozen):
    """A float file that is quantized: an export as it is, or prepared."""

    export: Export
    preparation: Preparation = Preparation()

    @property
    def name(self) -> str:
        """For example `opset 11, clamped mask`."""
        return ", ".join(filter(None, (self.export.name, self.preparation.name)))

    @property
    def is_prepared(self) -> bool:
        """Whether anything is done to the export."""
        return self.preparation != Preparation()
