"""How is timed where nothing was asked for: constants alone, as `--help` reads them."""

from __future__ import annotations

from typing import Literal, get_args

# ONNX Runtime's graph optimization: none, basic, extended, all.
OptimizationLevel = Literal[0, 1, 2, 99]
OPTIMIZATION_LEVELS: tuple[OptimizationLevel, ...] = get_args(OptimizationLevel)
OPTIMIZATION_LEVEL: OptimizationLevel = 99

DURATION_S = 15.0
PRECISION = 0.03
