"""Taking an ONNX file that was given: checked by running, stored as one file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.runtimes.ort import OrtSession, open_session
from quantbench.stages.given import take_onnx
from tiny_models import KINDS, Models, inputs


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_as_the_file_that_was_given(models: Models, tmp_path: Path, kind: str) -> None:
    given, output = models.exported(kind, 14), tmp_path / "model.onnx"
    take_onnx(given, [inputs(kind, 3, 9), inputs(kind, 1, 14)], output)
    feed = inputs(kind, 2, 11, seed=3)
    answers = [OrtSession(open_session(path, 0, 1), None).bind(feed)() for path in (given, output)]
    for name, array in answers[0].items():
        np.testing.assert_array_equal(array, answers[1][name])


def test_weights_beside_the_file_come_along(models: Models, tmp_path: Path) -> None:
    given = tmp_path / "given" / "model.onnx"
    given.parent.mkdir()
    onnx.save(
        onnx.load(models.exported("distilbert", 14)),
        given,
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=0,
    )
    output = tmp_path / "model.onnx"
    take_onnx(given, [inputs("distilbert", 2, 9)], output)
    open_session(output, 0, 1)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["model.onnx"]


def test_weights_beside_the_file_may_be_links_as_in_the_cache_of_the_hub(
    models: Models, tmp_path: Path
) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "onnx"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    whole = models.exported("distilbert", 14)
    onnx.save(
        onnx.load(whole),
        blobs / "aaa",
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=0,
    )
    (blobs / "model.onnx_data").rename(blobs / "bbb")
    (snapshot / "model.onnx").symlink_to(blobs / "aaa")
    (snapshot / "model.onnx_data").symlink_to(blobs / "bbb")
    output = tmp_path / "model.onnx"
    take_onnx(snapshot / "model.onnx", [inputs("distilbert", 2, 9)], output)
    feed = inputs("distilbert", 2, 11, seed=3)
    answers = [OrtSession(open_session(path, 0, 1), None).bind(feed)() for path in (whole, output)]
    for name, array in answers[0].items():
        np.testing.assert_array_equal(array, answers[1][name])


def test_weights_outside_the_folder_are_never_read(models: Models, tmp_path: Path) -> None:
    given = tmp_path / "given" / "model.onnx"
    given.parent.mkdir()
    model = onnx.load(models.exported("distilbert", 14))
    onnx.save(model, given, save_as_external_data=True, location="w", size_threshold=0)
    (given.parent / "w").rename(tmp_path / "w")
    model = onnx.load(given, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../w"
    given.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match="outside its folder"):
        take_onnx(given, [inputs("distilbert", 2, 9)], tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def saved(path: Path, nodes: list[onnx.NodeProto], outputs: dict[str, list[str]]) -> Path:
    """A model of `input_ids` with these nodes and outputs."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("other", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_only_the_outputs_that_are_read_are_compared(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["logits"], ["loss"], keepdims=0),
        helper.make_node("ReduceMean", ["logits"], ["of_the_batch"], axes=[0], keepdims=1),
    ]
    given = saved(
        tmp_path / "given.onnx",
        nodes,
        {"logits": ["batch", "length"], "loss": [], "of_the_batch": ["one", "length"]},
    )
    take_onnx(given, [ids(2, 4)], tmp_path / "model.onnx", ["logits"])
    with pytest.raises(QuantbenchError, match="output of_the_batch of the given file"):
        take_onnx(given, [ids(2, 4)], tmp_path / "model.onnx", ["logits", "of_the_batch"])


def test_an_output_without_rows_has_none_to_compare(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["logits"], ["loss"], keepdims=0),
    ]
    given = saved(tmp_path / "given.onnx", nodes, {"logits": ["batch", "length"], "loss": []})
    take_onnx(given, [ids(2, 4)], tmp_path / "model.onnx")


def test_an_operator_that_the_file_s_opset_lacks_is_named_with_the_first_that_has_it(
    tmp_path: Path,
) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Gelu", ["x"], ["y"], name="/classifier/Gelu"),
        helper.make_node("LayerNormalization", ["y", "y"], ["logits"], name="/norm"),
    ]
    given = saved(tmp_path / "given.onnx", nodes, {"logits": ["batch", "length"]})
    wanted = r"Gelu exists from opset 20 on \(node /classifier/Gelu\), LayerNorm.* opset 17 on"
    with pytest.raises(QuantbenchError, match=wanted) as caught:
        take_onnx(given, [ids(2, 4)], tmp_path / "model.onnx")
    assert caught.value.hint == "Export it again with opset 20 or newer."
    assert not (tmp_path / "model.onnx").exists()


def test_a_file_that_does_not_load_has_no_hint_for_files_that_were_quantized_here(
    tmp_path: Path,
) -> None:
    scaled = helper.make_node("DequantizeLinear", ["input_ids"], ["logits"], domain="other")
    given = saved(tmp_path / "given.onnx", [scaled], {"logits": ["batch", "length"]})
    with pytest.raises(QuantbenchError, match="the given file does not load") as caught:
        take_onnx(given, [ids(2, 4)], tmp_path / "model.onnx")
    assert caught.value.hint is None
    assert "framework_args.opset" not in str(caught.value)
    assert not (tmp_path / "model.onnx").exists()


def baked(path: Path, *, reshape_to: list[int]) -> Path:
    """A model that forgets what its input looked like: it brings it to one shape."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["x", "shape"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "baked",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [helper.make_tensor("shape", TensorProto.INT64, [len(reshape_to)], reshape_to)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )
    return path


def ids(batch: int, length: int) -> dict[str, np.ndarray]:
    return {"input_ids": np.arange(batch * length, dtype=np.int64).reshape(batch, length)}


def test_a_batch_that_is_baked_in_is_refused(tmp_path: Path) -> None:
    given = baked(tmp_path / "given.onnx", reshape_to=[1, -1])
    with pytest.raises(QuantbenchError, match="a dimension is baked in"):
        take_onnx(given, [ids(1, 4), ids(2, 4)], tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_length_that_is_baked_in_is_refused(tmp_path: Path) -> None:
    given = baked(tmp_path / "given.onnx", reshape_to=[-1, 4])
    with pytest.raises(QuantbenchError, match="does not run with input_ids") as caught:
        take_onnx(given, [ids(1, 4), ids(1, 7)], tmp_path / "model.onnx")
    assert caught.value.hint is not None
    assert "dynamic axes" in caught.value.hint


def test_rows_that_leak_into_each_other_are_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["logits"]),
    ]
    shape = ["batch", "length"]
    graph = helper.make_graph(
        nodes,
        "leaks",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
    )
    given = tmp_path / "given.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), given
    )
    with pytest.raises(QuantbenchError, match="differs by 2 from the same row alone"):
        take_onnx(given, [ids(2, 4)], tmp_path / "model.onnx")
