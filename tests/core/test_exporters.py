"""Which exporter writes which opset."""

import pytest

from quantbench.core.exporters import (
    MAX_OPSET,
    MIN_OPSET,
    Export,
    Exporter,
    default_exporter,
    export_refusal,
)


@pytest.mark.parametrize("opset", range(MIN_OPSET, MAX_OPSET + 1))
def test_left_out_it_is_torchscript_as_far_as_that_goes(opset: int) -> None:
    assert default_exporter(opset) == ("torchscript" if opset <= 20 else "dynamo")
    assert export_refusal(Export(opset=opset, exporter=default_exporter(opset))) is None


@pytest.mark.parametrize(
    ("exporter", "opset", "instead"),
    [
        ("dynamo", 17, "18 to 25, or framework_args.exporter torchscript"),
        ("torchscript", 21, "11 to 20, or framework_args.exporter dynamo"),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_can(
    exporter: Exporter, opset: int, instead: str
) -> None:
    reason = export_refusal(Export(opset=opset, exporter=exporter))
    wanted = f"{exporter} does not write opset {opset}: take framework_args.opset {instead}"
    assert reason == f"the exporter {wanted}"


def test_a_file_that_was_given_needs_no_exporter() -> None:
    assert export_refusal(Export(opset=25, exporter=None)) is None
