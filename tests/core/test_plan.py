"""The plan: the rows of the grid, what of them can act, and the distinct work behind them."""

import json
from typing import Any

import pytest

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.effective import effective
from quantbench.core.plan import Plan, Trial, calibrated_operators, make_plan, naive_evaluations
from quantbench.core.quantization import Blocks, Dynamic, Float32, Static, WeightOnly
from quantbench.core.steps import steps
from quantbench.core.vocabulary import DYNAMIC_OPERATORS, OPERATORS

EXCLUSIONS = ["layernorm", "gelu", "residual", "gather", "softmax"]


def config(**changes: Any) -> SweepConfig:
    data: dict[str, Any] = {
        "task": "question-answering",
        "model_name_or_path": "m",
        "dataset": {
            "path": "squad",
            "data_keys": {"question": "question", "context": "context"},
            "ref_keys": ["answers"],
            "calibration_split": "train",
        },
        "framework_args": {"opset": 11, "optimization_level": 1},
        "benchmarked": {
            "quantization_approach": ["dynamic", "static"],
            "operators_to_quantize": [["Add"], ["Add", "MatMul"]],
            "node_exclusion": [[], EXCLUSIONS],
        },
    }
    return SweepConfig.model_validate_json(json.dumps(data | changes))


def plan(**changes: Any) -> Plan:
    made = config(**changes)
    return make_plan(made, registry.task(made.task).spec)


def vit_plan() -> Plan:
    return plan(
        task="image-classification",
        dataset={"path": "beans", "data_keys": {"primary": "image"}, "ref_keys": ["labels"]},
        quantization_approach="dynamic",
        calibration={"num_calibration_samples": 100},
        input_lengths=[32, 64, 128],
        batch_sizes=[1, 4, 8],
        benchmarked={
            "operators_to_quantize": [["Add"], ["Add", "MatMul"]],
            "node_exclusion": [[], EXCLUSIONS],
            "per_channel": [False, True],
        },
    )


def test_rows_are_numbered_in_the_order_of_their_written_values() -> None:
    first = [row.trial.parameters["operators_to_quantize"] for row in plan().rows[:4]]
    assert first == [["Add", "MatMul"], ["Add", "MatMul"], ["Add"], ["Add"]]
    assert [row.number for row in plan().rows] == list(range(1, 9))


def test_a_trials_id_does_not_depend_on_the_order_of_its_parameters() -> None:
    one = Trial(parameters={"per_channel": True, "node_exclusion": []})
    other = Trial(parameters={"node_exclusion": [], "per_channel": True})
    assert one.id == other.id


def test_the_eight_rows_of_the_distilbert_grid_need_five_quantized_files_and_one_export() -> None:
    made = plan()
    quantized = [v for v in made.variants if not isinstance(v.quantization, Float32)]
    assert len(quantized) == 5
    assert {variant.export.opset for variant in made.variants} == {11}
    assert len(made.calibrations) == 1
    assert len(made.measured_arms) == 7
    assert naive_evaluations(made) == 16


def test_the_eight_rows_of_the_vit_grid_need_two_quantized_files() -> None:
    quantized = [v for v in vit_plan().variants if not isinstance(v.quantization, Float32)]
    assert [v.quantization.model_dump()["per_channel"] for v in quantized] == [False, True]


def test_a_dynamic_row_of_add_alone_shares_the_reference() -> None:
    row = next(row for row in plan().rows if row.number == 4)
    assert row.trial.parameters["operators_to_quantize"] == ["Add"]
    assert row.arm_id == row.reference_id
    assert [note.parameter for note in row.inert] == ["operators_to_quantize"]


def test_exclusions_in_a_dynamic_row_are_marked_as_inert_one_by_one() -> None:
    row = plan().rows[0]
    inert = [note.value for note in row.inert if note.parameter == "node_exclusion"]
    assert sorted(inert) == sorted(EXCLUSIONS)


def test_nothing_is_inert_in_a_static_row_of_add() -> None:
    assert plan().rows[7].inert == ()


def test_exclusions_of_adds_are_inert_where_only_matmul_is_quantized() -> None:
    _, inert = effective(Static(operators=("MatMul",), node_exclusion=("residual",)))
    assert [n.value for n in inert if n.parameter == "node_exclusion"] == ["residual"]


def test_excluding_a_layer_or_a_module_can_act_on_any_operator() -> None:
    names = ("block:bert.pooler", "layer.-1")
    scheme, inert = effective(Static(operators=("MatMul",), node_exclusion=names))
    assert [n.value for n in inert if n.parameter == "node_exclusion"] == []
    assert isinstance(scheme, Static)
    assert scheme.node_exclusion == names


def test_per_channel_is_inert_where_no_operator_has_channels() -> None:
    scheme, inert = effective(Static(operators=("Add",), per_channel=True))
    assert [note.parameter for note in inert] == ["per_channel"]
    assert isinstance(scheme, Static)
    assert not scheme.per_channel


@pytest.mark.parametrize("level", [0, 2, 3])
def test_accuracy_levels_that_compute_in_floats_are_the_first_one(level: int) -> None:
    def asked(level: int) -> WeightOnly:
        return WeightOnly(
            operators=("MatMul",), weight_only=Blocks.model_validate({"accuracy_level": level})
        )

    scheme, inert = effective(asked(level))
    assert scheme == effective(asked(1))[0]
    assert [(n.parameter, n.value) for n in inert] == [("weight_only.accuracy_level", str(level))]
    assert effective(asked(4)) == (asked(4), [])


def test_equal_schemes_in_another_order_are_one_scheme() -> None:
    assert (
        effective(Dynamic(operators=("MatMul", "Gather")))[0]
        == effective(Dynamic(operators=("Gather", "MatMul")))[0]
    )


def test_calibration_in_a_dynamic_sweep_is_inert_for_the_whole_run() -> None:
    assert [note.parameter for note in vit_plan().inert] == ["input_lengths", "calibration"]


def test_a_calibration_split_without_calibration_is_inert() -> None:
    dataset = config().dataset.model_dump(mode="json") | {"calibration_split": "train"}
    made = plan(quantization_approach="dynamic", dataset=dataset, benchmarked={})
    assert [note.parameter for note in made.inert] == ["dataset.calibration_split"]


def test_allowing_shared_samples_without_calibration_is_inert() -> None:
    dataset = config().dataset.model_dump(mode="json") | {
        "calibration_split": None,
        "allow_shared_samples": True,
    }
    made = plan(quantization_approach="dynamic", dataset=dataset, benchmarked={})
    assert [note.parameter for note in made.inert] == ["dataset.allow_shared_samples"]


def test_sampling_is_inert_where_nothing_is_drawn() -> None:
    made = plan(quantization_approach="dynamic", sampling="head", benchmarked={})
    assert "sampling" in [note.parameter for note in made.inert]
    made = plan(
        quantization_approach="dynamic", sampling="head", max_eval_samples=9, benchmarked={}
    )
    assert "sampling" not in [note.parameter for note in made.inert]


def test_a_swept_calibration_is_inert_in_dynamic_rows_only() -> None:
    made = plan(
        benchmarked={
            "quantization_approach": ["dynamic", "static"],
            "calibration.num_calibration_samples": [10, 20],
        }
    )
    inert = {row.number: [note.parameter for note in row.inert] for row in made.rows}
    name = "calibration.num_calibration_samples"
    assert inert == {1: [name], 2: [name], 3: [], 4: []}
    assert made.rows[0].arm_id == made.rows[1].arm_id
    assert made.rows[2].arm_id != made.rows[3].arm_id


def test_an_image_task_is_timed_once_per_batch_size() -> None:
    assert [cell.id for cell in vit_plan().cells] == ["b1", "b4", "b8"]


def test_a_text_task_is_timed_at_every_batch_size_and_length() -> None:
    made = plan(batch_sizes=[1, 4], input_lengths=[32, 64])
    assert [cell.id for cell in made.cells] == ["b1-l32", "b1-l64", "b4-l32", "b4-l64"]


def test_one_calibration_covers_the_operators_of_all_static_rows() -> None:
    made = plan()
    ((export, calibration),) = made.calibrations
    assert calibrated_operators(made, export, calibration) == ("Add", "MatMul")


def test_static_per_channel_below_opset_13_is_refused_with_the_reason() -> None:
    made = plan(
        quantization_approach="static",
        benchmarked={"per_channel": [False, True]},
    )
    assert made.rows[0].refused is None
    assert "opset 13" in (made.rows[1].refused or "")
    assert made.rows[1].arm_id is None


def refusals(**changes: Any) -> list[str | None]:
    made = plan(quantization_approach="static", **changes)
    return [row.refused for row in made.rows]


def test_static_per_channel_below_opset_13_works_as_integer_operators() -> None:
    swept = {"quant_format": ["QDQ", "QOperator"]}
    refused = refusals(per_channel=True, benchmarked=swept)
    assert "quant_format QOperator works" in (refused[0] or "")
    assert refused[1] is None


def test_int8_activations_with_uint8_weights_are_refused_with_what_works() -> None:
    swept = {"activation_type": ["int8", "uint8"], "weight_type": ["int8", "uint8"]}
    refused = refusals(benchmarked=swept)
    assert [reason is not None for reason in refused] == [False, True, False, False]
    assert "take weight_type int8, or activation_type uint8" in (refused[1] or "")


def test_each_swept_parameter_is_inert_in_the_rows_of_approaches_that_do_not_read_it() -> None:
    swept = {"activation_type": ["int8"], "weight_type": ["int8"], "weight_only.bits": [8]}
    approaches = ["dynamic", "static", "weight_only"]
    made = plan(benchmarked={"quantization_approach": approaches, **swept})
    inert = {
        str(row.trial.parameters["quantization_approach"]): {item.parameter for item in row.inert}
        for row in made.rows
    }
    assert inert == {
        "dynamic": {"activation_type", "weight_only.bits"},
        "static": {"weight_only.bits"},
        "weight_only": {"activation_type", "weight_type"},
    }


def test_a_fixed_parameter_that_no_row_reads_is_inert_for_the_whole_run() -> None:
    fixed = {"activation_type": "int8", "weight_only": {"bits": 8}, "clamp_mask": False}
    made = plan(quantization_approach="dynamic", benchmarked={}, reduce_range=True, **fixed)
    names = [item.parameter for item in made.inert if item.parameter in {*fixed, "reduce_range"}]
    assert names == ["activation_type", "clamp_mask", "weight_only"]
    assert made.inert[0].reason == "no row is static"


def test_a_default_that_cannot_act_is_not_told() -> None:
    made = plan(quantization_approach="static", benchmarked={})
    assert made.rows[0].inert == ()
    made = plan(quantization_approach="static", clamp_mask=True, benchmarked={})
    assert [item.parameter for item in made.rows[0].inert] == ["clamp_mask"]
    made = plan(operators_to_quantize=["Add"], quantize_activation_matmul=True, benchmarked={})
    assert "quantize_activation_matmul" in [item.parameter for item in made.rows[0].inert]


@pytest.mark.parametrize(
    ("operators", "parameter", "values"),
    [
        (["MatMul"], "clamp_mask", [False, True]),
        (["Add"], "smooth_quant_alpha", [None, 0.5]),
        (["Add"], "weight_type", ["int8", "uint8"]),
        (["Add"], "weight_symmetric", [False, True]),
        (["Add"], "quantize_activation_matmul", [False, True]),
    ],
)
def test_values_that_are_the_same_share_a_file_and_are_marked(
    operators: list[str], parameter: str, values: list[Any]
) -> None:
    made = plan(
        quantization_approach="static",
        operators_to_quantize=operators,
        benchmarked={parameter: values},
    )
    assert len({row.arm_id for row in made.rows}) == 1
    assert [[item.parameter for item in row.inert] for row in made.rows].count([parameter]) == 1


def test_weight_symmetric_is_inert_where_qdq_weights_have_channels() -> None:
    swept = {"weight_symmetric": [False, True], "quant_format": ["QDQ", "QOperator"]}
    made = plan(
        quantization_approach="static",
        per_channel=True,
        framework_args={"opset": 17},
        benchmarked=swept,
    )
    assert [bool(row.inert) for row in made.rows] == [True, False, False, False]
    assert len({row.arm_id for row in made.rows}) == 3


def test_weight_only_quantizes_matmul_alone() -> None:
    made = plan(
        quantization_approach="weight_only",
        benchmarked={"operators_to_quantize": [["Add"], ["Add", "MatMul"], ["MatMul"]]},
    )
    by_operators = {str(row.trial.parameters["operators_to_quantize"]): row for row in made.rows}
    assert by_operators["['Add']"].arm_id == made.rows[0].reference_id
    assert by_operators["['Add', 'MatMul']"].arm_id == by_operators["['MatMul']"].arm_id


def test_each_optimization_level_has_its_own_reference() -> None:
    made = plan(
        framework_args={"opset": 17},
        benchmarked={"framework_args.optimization_level": [1, 99]},
    )
    assert len({row.reference_id for row in made.rows}) == 2
    assert [arm.role for arm in made.arms] == [
        "original", "reference", "reference", "reference_twin", "row", "row",
    ]  # fmt: skip


def test_a_plan_without_a_grid_has_one_row() -> None:
    made = plan(benchmarked={})
    assert len(made.rows) == 1
    assert made.rows[0].trial.parameters == {}


def test_plans_survive_the_way_through_json() -> None:
    assert Plan.model_validate_json(plan().model_dump_json()) == plan()


def test_the_known_operators_are_those_of_the_installed_quantizer() -> None:
    registry_module = pytest.importorskip("onnxruntime.quantization.registry")
    known = {*registry_module.QLinearOpsRegistry, *registry_module.QDQRegistry}
    known |= set(registry_module.IntegerOpsRegistry)
    assert set(OPERATORS) == known
    assert set(registry_module.IntegerOpsRegistry) == DYNAMIC_OPERATORS


def test_every_step_of_a_sweep_has_a_name_of_its_own() -> None:
    changes: dict[str, Any] = {
        "framework_args": {},
        "batch_sizes": [1, 4],
        "benchmarked": {
            "quantization_approach": ["dynamic", "static"],
            "framework_args.opset": [11, 17],
            "framework_args.optimization_level": [1, 99],
            "calibration.num_calibration_samples": [10, 20],
        },
    }
    found = [(step.stage, step.name) for step in steps(plan(**changes), config(**changes), 10)]
    assert len(set(found)) == len(found)


def test_a_parameter_of_one_calibration_method_is_inert_in_rows_of_the_others() -> None:
    made = plan(
        quantization_approach="static",
        benchmarked={
            "calibration.method": ["minmax", "percentile"],
            "calibration.percentile": [99.0, 99.9],
        },
    )
    inert = [[note.parameter for note in row.inert] for row in made.rows]
    assert inert == [["calibration.percentile"], ["calibration.percentile"], [], []]
    assert made.rows[0].arm_id == made.rows[1].arm_id
    assert len(made.calibrations) == 3


def test_a_calibration_default_that_is_written_out_is_the_same_calibration() -> None:
    made = plan(
        quantization_approach="static",
        calibration={"method": "percentile"},
        benchmarked={"calibration.num_bins": [None, 2048]},
    )
    assert len(made.calibrations) == 1


def test_entropy_with_fewer_bins_than_levels_is_refused() -> None:
    made = plan(
        quantization_approach="static",
        calibration={"method": "entropy"},
        benchmarked={"calibration.num_bins": [64, 256]},
    )
    refused = {str(row.trial.parameters["calibration.num_bins"]): row.refused for row in made.rows}
    assert "num_bins (64)" in str(refused["64"])
    assert refused["256"] is None


def exports_of(made: Plan) -> set[str]:
    return {step.name for step in steps(made, config(), 10) if step.stage == "export"}


def test_rows_of_two_exporters_have_their_own_files_references_and_ranges() -> None:
    made = plan(
        framework_args={"opset": 18},
        quantization_approach="static",
        benchmarked={"framework_args.exporter": ["torchscript", "dynamo"]},
    )
    dynamo, torchscript = made.rows
    assert exports_of(made) == {"opset 18", "opset 18, dynamo"}
    assert dynamo.reference_id == "onnxruntime-float32-opset18-dynamo-level99"
    assert torchscript.reference_id == "onnxruntime-float32-opset18-level99"
    assert len(made.calibrations) == 2


def test_an_exporter_that_is_named_is_the_one_that_is_taken_when_none_is() -> None:
    made = plan(benchmarked={"framework_args.exporter": [None, "torchscript"]})
    assert made.rows[0].arm_id == made.rows[1].arm_id


def test_rows_that_no_exporter_writes_are_refused_and_need_no_reference() -> None:
    swept = {
        "framework_args.opset": [17, 18],
        "framework_args.exporter": ["torchscript", "dynamo"],
    }
    made = plan(framework_args={}, benchmarked=swept)
    (refused,) = (row for row in made.rows if row.refused)
    assert refused.trial.parameters == {
        "framework_args.opset": 17,
        "framework_args.exporter": "dynamo",
    }
    assert "take framework_args.opset 18 to 25" in str(refused.refused)
    assert (refused.arm_id, refused.reference_id) == (None, None)
    assert exports_of(made) == {"opset 17", "opset 18", "opset 18, dynamo"}


def test_no_exporter_acts_on_a_file_that_was_given() -> None:
    made = plan(
        model_name_or_path="./model.onnx", framework_args={"opset": 20, "exporter": "dynamo"}
    )
    assert "framework_args.exporter" in [item.parameter for item in made.inert]
    assert {v.export.exporter for v in made.variants} == {None}


def prepared_names(made: Plan) -> list[str]:
    return [source.name for source in made.prepared]


FUSED = "framework_args.optimize_before_quantization"


def test_rows_with_the_same_preparation_share_the_prepared_file() -> None:
    made = plan(
        quantization_approach="static",
        benchmarked={
            "operators_to_quantize": [["Add"], ["Add", "MatMul"]],
            "per_channel": [False, True],
            "smooth_quant_alpha": [None, 0.5],
        },
        framework_args={"opset": 17},
    )
    clamped = "opset 17, clamped mask"
    assert set(prepared_names(made)) == {clamped, f"{clamped}, smoothed 0.5 over 100 samples"}
    assert [source for source, _ in made.calibrations] == list(made.prepared)


def test_rows_of_one_preparation_share_their_ranges_and_others_do_not() -> None:
    made = plan(
        quantization_approach="static",
        operators_to_quantize=["Add", "MatMul"],
        benchmarked={"clamp_mask": [False, True], "activation_type": ["int8", "uint8"]},
    )
    assert prepared_names(made) == ["opset 11, clamped mask"]
    assert [source.name for source, _ in made.calibrations] == [
        "opset 11", "opset 11, clamped mask",
    ]  # fmt: skip
    clamped = made.prepared[0]
    assert calibrated_operators(made, clamped, made.calibrations[1][1]) == ("Add", "MatMul")


def test_where_nothing_is_to_be_done_there_is_no_such_step() -> None:
    made = plan(quantization_approach="static", benchmarked={})
    assert made.prepared == ()
    assert "optimize" not in {step.stage for step in steps(made, config(), 10)}


def test_a_prepared_file_comes_between_the_export_and_what_reads_it() -> None:
    made = plan(quantization_approach="static", operators_to_quantize=["Add"], benchmarked={})
    needs = {step.stage: step.needs for step in steps(made, config(), 10)}
    assert needs["optimize"] == ("export opset 11",)
    assert needs["calibrate"] == ("optimize opset 11, clamped mask",)
    assert needs["quantize"][0] == "optimize opset 11, clamped mask"


def test_samples_of_smooth_quant_are_those_of_the_calibration() -> None:
    made = plan(
        quantization_approach="static",
        smooth_quant_alpha=0.5,
        benchmarked={"calibration.num_calibration_samples": [10, 20]},
    )
    smoothing = [source.preparation.smoothing for source in made.prepared]
    assert [item and item.num_calibration_samples for item in smoothing] == [10, 20]
    (step, _) = (step for step in steps(made, config(), 10) if step.stage == "optimize")
    assert (step.cores, step.amount) == ("all", 10)


@pytest.mark.parametrize("approach", ["dynamic", "static", "weight_only"])
def test_fusion_before_quantization_is_a_preparation_in_every_scheme(approach: str) -> None:
    made = plan(quantization_approach=approach, benchmarked={FUSED: [False, True]})
    assert prepared_names(made) == ["opset 11, fused"]
    assert made.rows[0].arm_id != made.rows[1].arm_id
    assert made.rows[0].reference_id == made.rows[1].reference_id


def test_fusion_is_inert_where_nothing_is_quantized() -> None:
    made = plan(
        quantization_approach="dynamic",
        operators_to_quantize=["Add"],
        benchmarked={FUSED: [False, True]},
    )
    (inert,) = [note for note in made.rows[1].inert if note.parameter == FUSED]
    assert inert.reason == "no operator of this row can be quantized"
    assert made.rows[0].arm_id == made.rows[1].arm_id == made.rows[0].reference_id
    assert made.prepared == ()
