"""quantbench: decide whether, and how, to quantize a transformer for CPU serving, with proof."""

__version__ = "0.1.0"
