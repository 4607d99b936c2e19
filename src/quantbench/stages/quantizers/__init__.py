"""One file per scheme, each with a function `quantize` of the same parameters."""
