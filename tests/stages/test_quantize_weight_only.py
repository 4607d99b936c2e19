"""Weight-only quantization: MatMulNBits, as ONNX Runtime's operator describes it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from quantbench.core.quantization import Blocks, WeightOnly
from quantbench.runtimes.ort import open_session
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model
from tiny_models import Models, inputs

BITS = (4, 8)


def written(models: Models, path: Path, **blocks: object) -> onnx.ModelProto:
    scheme = WeightOnly(operators=("MatMul",), weight_only=Blocks.model_validate(blocks))
    quantize_model(models.exported("distilbert", 11), scheme, None, path)
    return onnx.load(path)


def in_blocks(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "MatMulNBits"]


@pytest.mark.parametrize("bits", BITS)
def test_matmuls_by_weights_are_in_blocks_and_those_of_activations_are_not(
    models: Models, tmp_path: Path, bits: int
) -> None:
    model = written(models, tmp_path / "model.onnx", bits=bits, block_size=16)
    assert len(in_blocks(model)) == 13
    assert sum(node.op_type == "MatMul" for node in model.graph.node) == 4
    for node in in_blocks(model):
        attributes = {item.name: item.i for item in node.attribute}
        assert (attributes["bits"], attributes["block_size"]) == (bits, 16)
        assert attributes["accuracy_level"] == 4


def test_the_runtimes_own_choice_of_accuracy_is_not_written(models: Models, tmp_path: Path) -> None:
    model = written(models, tmp_path / "model.onnx", accuracy_level=0)
    names = {item.name for node in in_blocks(model) for item in node.attribute}
    assert names == {"K", "N", "bits", "block_size"}


@pytest.mark.parametrize("bits", BITS)
def test_all_levels_of_accuracy_but_the_last_compute_the_same(
    models: Models, tmp_path: Path, bits: int
) -> None:
    found: list[bytes] = []
    for level in range(5):
        path = tmp_path / f"{level}.onnx"
        written(models, path, bits=bits, accuracy_level=level)
        outputs = open_session(path, 99, 1).run(None, dict(inputs("distilbert", 1)))
        found.append(b"".join(np.asarray(output).tobytes() for output in outputs))
    assert len(set(found[:4])) == 1
    assert found[4] != found[0]


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_weight_is_off_by_half_a_step_of_its_block_at_most(
    models: Models, tmp_path: Path, bits: int, symmetric: bool
) -> None:
    size = 16
    model = written(
        models, tmp_path / "model.onnx", bits=bits, block_size=size, symmetric=symmetric
    )
    stored = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    exported = onnx.load(models.exported("distilbert", 11))
    originals = {item.name: numpy_helper.to_array(item) for item in exported.graph.initializer}
    for node in in_blocks(model):
        data, scales = stored[node.input[1]], stored[node.input[2]]
        zeros = stored[node.input[3]] if len(node.input) > 3 else None
        assert (zeros is None) == symmetric
        original = originals[node.input[1].removesuffix(f"_Q{bits}")]
        columns, count, _ = data.shape
        levels = unpacked(data, bits).reshape(columns, count, size)
        zero = unpacked(zeros, bits)[:, :count, None] if zeros is not None else 2 ** (bits - 1)
        found = ((levels - zero) * scales[:, :, None]).reshape(columns, -1).T[: len(original)]
        # A symmetric range has one step less above zero than below.
        step = np.repeat(np.abs(scales), size, axis=1).T[: len(original)]
        assert (np.abs(found - original) <= step * (1.01 if symmetric else 0.51)).all()


def unpacked(data: np.ndarray, bits: int) -> np.ndarray:
    """Bytes as whole numbers along the last axis; of 4 bits, the lower ones come first."""
    if bits == 8:
        return data.astype(int)
    pairs = np.stack([data & 15, data >> 4], axis=-1)
    return pairs.reshape(*data.shape[:-1], -1).astype(int)


def test_the_float_weights_are_gone(models: Models, tmp_path: Path) -> None:
    model = written(models, tmp_path / "model.onnx")
    stored = {item.name for item in model.graph.initializer}
    used = {name for node in model.graph.node for name in node.input}
    assert stored <= used


def test_blocks_larger_than_the_matrix_run(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    written(models, path, bits=4, block_size=256)
    executed = check_file(path, [0, 99], inputs("distilbert", 2), 1)
    assert executed["99"]["MatMulNBits"] == 13
