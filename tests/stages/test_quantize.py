import itertools
import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from quantbench.core.calibration import Calibration
from quantbench.core.effective import effective
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Dynamic, Float32, IntegerType, QuantFormat, Static
from quantbench.core.vocabulary import NodeExclusion, Operator
from quantbench.graph.counts import default_opset
from quantbench.graph.digest import graph_digest
from quantbench.protocols import Inputs, SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.check import check_file
from quantbench.stages.quantize import QuantizeFacts, quantize_model
from tiny_models import KINDS, Models, inputs, samples

CARDS = {"distilbert": "distilbert-squad", "vit": "vit-beans"}
OPERATORS = ["Add", "Conv", "MatMul"]
Ranges = Callable[[str, int], Path]


@pytest.fixture(scope="module")
def ranges(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Ranges:
    """Ranges of the tiny models, calibrated once per model and opset."""
    root = tmp_path_factory.mktemp("ranges")

    def collected(kind: str, opset: int) -> Path:
        path = root / f"{kind}-{opset}.json"
        if not path.exists():
            model = models.exported(kind, opset)
            collect_ranges(model, samples(kind, 4), OPERATORS, Calibration(), path)
        return path

    return collected


def quantized(
    models: Models, kind: str, opset: int, scheme: Dynamic | Static, ranges: Ranges, path: Path
) -> QuantizeFacts:
    found = ranges(kind, opset) if isinstance(scheme, Static) else None
    return quantize_model(models.exported(kind, opset), scheme, found, path)


def digest(path: Path) -> str:
    return graph_digest(onnx.load(path))


# Dynamic


def test_dynamic_add_alone_computes_what_the_export_computes(
    models: Models, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    exported = models.exported("distilbert", 11)
    facts = quantize_model(exported, Dynamic(operators=("Add",)), None, path)
    assert digest(path) == digest(exported)
    assert facts.nodes["Add"].quantized == 0


OF_ADDS = ("layernorm", "gelu", "residual", "gather", "softmax")


def test_excluding_adds_changes_nothing_in_dynamic_rows(models: Models, tmp_path: Path) -> None:
    everything, some = tmp_path / "all.onnx", tmp_path / "some.onnx"
    exported = models.exported("distilbert", 11)
    operators = ("Add", "MatMul")
    quantize_model(exported, Dynamic(operators=operators), None, everything)
    excluding = Dynamic(operators=operators, node_exclusion=OF_ADDS)
    facts = quantize_model(exported, excluding, None, some)
    assert everything.read_bytes() == some.read_bytes()
    assert facts.exclusion_matches["layernorm"] > 0


@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_matmul_has_int8_weights_and_uint8_activations(
    models: Models, tmp_path: Path, per_channel: bool
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Dynamic(operators=("MatMul",), per_channel=per_channel)
    facts = quantize_model(models.exported("distilbert", 11), scheme, None, path)
    model = onnx.load(path)
    kinds = Counter(node.op_type for node in model.graph.node)
    # Of 17 MatMuls, 4 multiply two activations and stay.
    counts = facts.nodes["MatMul"]
    assert (counts.total, counts.quantized, counts.left) == (17, 13, 4)
    assert kinds["MatMulInteger"] == 13
    assert kinds["DynamicQuantizeLinear"] > 0  # uint8 by definition of the operator
    weights = {item.name: item for item in model.graph.initializer}
    used = [node.input[1] for node in model.graph.node if node.op_type == "MatMulInteger"]
    assert {weights[name].data_type for name in used} == {onnx.TensorProto.INT8}
    scales = [item for name, item in weights.items() if name.endswith("_scale")]
    assert {len(item.dims) for item in scales} == ({1} if per_channel else {0})


def test_gemm_is_counted_where_it_becomes_matmul(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    facts = quantize_model(models.exported("vit", 17), Dynamic(operators=("MatMul",)), None, path)
    assert (facts.nodes["Gemm"].total, facts.nodes["Gemm"].quantized) == (1, 1)
    integer = sum(node.op_type == "MatMulInteger" for node in onnx.load(path).graph.node)
    assert integer == facts.nodes["MatMul"].quantized + facts.nodes["Gemm"].quantized


def test_a_classifier_that_is_a_gemm_can_be_excluded(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    scheme = Dynamic(operators=("MatMul",), node_exclusion=("classifier",))
    facts = quantize_model(models.exported("vit", 17), scheme, None, path)
    counts = facts.nodes["Gemm"]
    assert (counts.total, counts.excluded, counts.quantized, counts.left) == (1, 1, 0, 1)
    assert facts.exclusion_effects == {"classifier": 1}
    integer = sum(node.op_type == "MatMulInteger" for node in onnx.load(path).graph.node)
    assert integer == facts.nodes["MatMul"].quantized


def test_a_layer_can_be_excluded_and_one_that_is_not_there_is_told(
    models: Models, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    exported = models.exported("distilbert", 11)
    scheme = Dynamic(operators=("MatMul",), node_exclusion=("layer.-1",))
    facts = quantize_model(exported, scheme, None, path)
    # Each of the two layers has 8 MatMuls, of which 2 multiply two activations.
    assert (facts.nodes["MatMul"].excluded, facts.nodes["MatMul"].quantized) == (8, 7)
    missing = Dynamic(operators=("MatMul",), node_exclusion=("layer.2",))
    with pytest.raises(QuantbenchError, match=r"layer\.0 to layer\.1"):
        quantize_model(exported, missing, None, path)


def test_dynamic_conv_has_an_integer_form(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    facts = quantize_model(models.exported("vit", 17), Dynamic(operators=("Conv",)), None, path)
    assert facts.nodes["Conv"].quantized == 1
    assert Counter(node.op_type for node in onnx.load(path).graph.node)["ConvInteger"] == 1


def test_an_operator_without_a_kernel_is_refused_with_a_hint(tmp_path: Path) -> None:
    # The standard has Add for bfloat16, ONNX Runtime's CPU provider does not.
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.BFLOAT16, [1]) for name in "xy"
    ]
    node = onnx.helper.make_node("Add", ["x", "x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    with pytest.raises(QuantbenchError, match=r"Add(.|\n)*leave its type out"):
        check_file(path, [99], {"x": np.zeros(1)}, 1)


# Static


@pytest.mark.parametrize("activations", ["int8", "uint8"])
@pytest.mark.parametrize("weights", ["int8", "uint8"])
def test_qdq_has_the_types_that_were_asked_for(
    models: Models,
    ranges: Ranges,
    tmp_path: Path,
    activations: IntegerType,
    weights: IntegerType,
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=("MatMul",), activation_type=activations, weight_type=weights)
    quantized(models, "distilbert", 17, scheme, ranges, path)
    model = onnx.load(path)
    stored = {item.name: item.data_type for item in model.graph.initializer}
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found[node.input[0] in stored].add(stored[node.input[2]])
    kinds = {"int8": onnx.TensorProto.INT8, "uint8": onnx.TensorProto.UINT8}
    assert found == {True: {kinds[weights]}, False: {kinds[activations]}}
    assert default_opset(model) == 17


@pytest.mark.parametrize("quant_format", ["QDQ", "QOperator"])
def test_matmuls_of_two_activations_are_quantized_only_on_purpose(
    models: Models, ranges: Ranges, tmp_path: Path, quant_format: QuantFormat
) -> None:
    path = tmp_path / "model.onnx"
    for on_purpose, expected in ((False, (17, 13, 4)), (True, (17, 17, 0))):
        scheme = Static(
            operators=("MatMul",),
            quant_format=quant_format,
            quantize_activation_matmul=on_purpose,
        )
        counts = quantized(models, "distilbert", 17, scheme, ranges, path).nodes["MatMul"]
        assert (counts.total, counts.quantized, counts.left) == expected


def test_excluded_nodes_stay_as_they_are_in_static_rows(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    everything = quantized(models, "distilbert", 11, Static(operators=("Add",)), ranges, path)
    scheme = Static(operators=("Add",), node_exclusion=("layernorm", "gelu", "softmax"))
    facts = quantized(models, "distilbert", 11, scheme, ranges, path)
    before, after = everything.nodes["Add"], facts.nodes["Add"]
    assert (after.excluded, after.matched) == (14, 14)
    # One Add is of integers, on shapes: it is never quantized.
    assert (before.total, before.quantized, before.left) == (33, 32, 1)
    assert (after.total, after.quantized, after.left) == (33, 18, 15)
    assert facts.exclusion_matches == {"layernorm": 45, "gelu": 10, "softmax": 4}
    assert facts.exclusion_effects == {"layernorm": 10, "gelu": 2, "softmax": 2}


def test_static_per_channel_loads_at_opset_17(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=("MatMul",), per_channel=True)
    quantized(models, "vit", 17, scheme, ranges, path)
    assert check_file(path, [0, 99], inputs("vit"), 1).keys() == {"0", "99"}


def test_static_per_channel_at_opset_11_is_refused_with_a_hint(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=("MatMul",), per_channel=True)
    quantized(models, "vit", 11, scheme, ranges, path)
    with pytest.raises(QuantbenchError, match=r"cannot load model.onnx(.|\n)*opset 13 or newer"):
        check_file(path, [1], inputs("vit"), 1)


def test_static_needs_ranges_and_dynamic_takes_none(models: Models, tmp_path: Path) -> None:
    exported, path = models.exported("vit", 17), tmp_path / "model.onnx"
    with pytest.raises(QuantbenchError, match="needs the ranges"):
        quantize_model(exported, Static(operators=("MatMul",)), None, path)
    with pytest.raises(QuantbenchError, match="others none"):
        quantize_model(exported, Dynamic(operators=("MatMul",)), tmp_path / "r.json", path)


def padded(given: Inputs, length: int) -> Inputs:
    missing = length - given["input_ids"].shape[1]
    return {name: np.pad(array, ((0, 0), (0, missing))) for name, array in given.items()}


@pytest.mark.parametrize(
    ("operators", "exclusions", "same"),
    [
        (("MatMul",), (), True),
        (("Add",), ("softmax",), True),
        (("Add",), (), False),
    ],
)
def test_padding_changes_static_answers_only_where_the_mask_is_quantized(
    models: Models,
    ranges: Ranges,
    tmp_path: Path,
    operators: tuple[Operator, ...],
    exclusions: tuple[NodeExclusion, ...],
    same: bool,
) -> None:
    path = tmp_path / "model.onnx"
    scheme = Static(operators=operators, node_exclusion=exclusions)
    quantized(models, "distilbert", 11, scheme, ranges, path)
    session = RUNTIME.open(path, SessionOptions(1, 99))
    given = inputs("distilbert", 1, 10)
    alone = session.bind(given)()["start_logits"]
    # The samples of the calibration had no padding: the mask's range is [0, 0].
    beside_padding = session.bind(padded(given, 30))()["start_logits"][:, :10]
    assert np.array_equal(alone, beside_padding) == same


def test_static_answers_do_not_depend_on_neighbours_of_the_same_length(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    quantized(models, "distilbert", 11, Static(operators=("Add", "MatMul")), ranges, path)
    session = RUNTIME.open(path, SessionOptions(1, 99))
    batch = inputs("distilbert", 4)
    together = session.bind(batch)()["end_logits"]
    for i in range(4):
        one = {name: array[i : i + 1] for name, array in batch.items()}
        np.testing.assert_array_equal(session.bind(one)()["end_logits"][0], together[i])


# Both


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_the_seed_grid_quantizes_loads_and_runs(
    models: Models, ranges: Ranges, tmp_path: Path, kind: str
) -> None:
    card = json.loads((Path(__file__).parents[1] / f"data/{CARDS[kind]}.json").read_text())
    kinds = {"dynamic": Dynamic, "static": Static}
    digests: dict[str, list[str]] = {}
    for number, row in enumerate(card["accuracy"]):
        asked = kinds[row.get("quantization_approach", "dynamic")](
            operators=tuple(row["operators_to_quantize"]),
            node_exclusion=tuple(row.get("node_exclusion", ())),
            per_channel=row.get("per_channel", False),
        )
        scheme, _ = effective(asked)
        if isinstance(scheme, Float32):
            continue
        for opset in (11, 17):
            if isinstance(scheme, Static) and scheme.per_channel and opset < 13:
                continue
            path = tmp_path / f"{number}-{opset}.onnx"
            facts = quantized(models, kind, opset, scheme, ranges, path)
            executed = check_file(path, [1, 99], inputs(kind, 2), 1)
            assert executed["99"]
            assert any(counts.quantized for counts in facts.nodes.values())
            assert all(c.total == c.quantized + c.left for c in facts.nodes.values())
            digests.setdefault(digest(path), []).append(path.name)
    assert len(digests) >= 4


@pytest.mark.parametrize(
    ("approach", "opset"), list(itertools.product([Dynamic, Static], [13, 14, 18, 20]))
)
def test_matmul_stays_close_to_the_export_at_every_opset(
    models: Models,
    ranges: Ranges,
    tmp_path: Path,
    approach: type[Dynamic] | type[Static],
    opset: int,
) -> None:
    path = tmp_path / "model.onnx"
    scheme = approach(operators=("MatMul",))
    quantized(models, "distilbert", opset, scheme, ranges, path)
    assert default_opset(onnx.load(path)) == opset
    given = next(samples("distilbert", 1))
    found, wanted = (
        RUNTIME.open(each, SessionOptions(1, 99)).bind(given)()["start_logits"]
        for each in (path, models.exported("distilbert", opset))
    )
    assert 0 < np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max()


def test_the_export_is_not_touched_and_nothing_is_said(
    models: Models,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    exported = models.exported("vit", 17)
    before, files = exported.read_bytes(), sorted(exported.parent.iterdir())
    handlers = list(logging.getLogger().handlers)
    path = tmp_path / "model.onnx"
    quantize_model(exported, Dynamic(operators=("MatMul",)), None, path)
    check_file(path, [0, 1, 2, 99], inputs("vit"), 1)
    assert exported.read_bytes() == before
    assert sorted(exported.parent.iterdir()) == files
    assert list(tmp_path.iterdir()) == [path]
    assert logging.getLogger().handlers == handlers
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_what_really_ran_is_recorded_by_level(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    quantize_model(models.exported("vit", 17), Dynamic(operators=("MatMul",)), None, path)
    executed = check_file(path, [0, 99], inputs("vit"), 1)
    assert executed["0"]["MatMulInteger"] == 13
    assert "DynamicQuantizeMatMul" not in executed["0"]
    assert executed["99"]["DynamicQuantizeMatMul"] > 0
    assert "MatMulInteger" not in executed["99"]


def test_at_level_1_static_rows_compute_in_float(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    quantized(models, "distilbert", 17, Static(operators=("MatMul",)), ranges, path)
    executed = check_file(path, [1, 2], inputs("distilbert"), 1)
    assert executed["1"]["MatMul"] == 17
    assert not any(name.startswith("QLinear") for name in executed["1"])
    assert executed["2"]["QLinearMatMul"] > 0


def test_outputs_that_are_not_finite_are_refused(models: Models) -> None:
    broken = {"pixel_values": np.full((1, 3, 16, 16), np.nan, dtype=np.float32)}
    with pytest.raises(QuantbenchError, match="not finite at optimization level 1: logits"):
        check_file(models.exported("vit", 17), [1], broken, 1)
