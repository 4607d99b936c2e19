"""What the models that rows are compared with are called."""

from __future__ import annotations

from quantbench.core.summary import GIVEN_FILE

REFERENCE = "ONNX Runtime fp32"


def reference_name(original_name: str, reference_id: str) -> str:
    """A reference's name: with its level where the original is ONNX Runtime fp32 too.

    Args:
        original_name: what speed-ups are over.
        reference_id: an arm's id, which ends in `-levelN`.
    """
    if original_name != GIVEN_FILE:
        return REFERENCE
    return f"{REFERENCE} at level {reference_id.rsplit('-level', 1)[-1]}"
