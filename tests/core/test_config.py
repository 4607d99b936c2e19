"""A config is checked once, all of its errors are told at once, and each says how to mend it."""

import json
from pathlib import Path

import pytest

from quantbench import registry
from quantbench.core.config import SWEEPABLE, SweepConfig
from quantbench.core.config_file import read_config, with_values
from quantbench.core.config_schema import schema
from quantbench.core.errors import ConfigError
from quantbench.core.quantization import APPROACHES_OF, SCHEMES

GOOD = """
task: question-answering
model_name_or_path: some/model
dataset:
  path: squad
  eval_split: validation
  calibration_split: train
  data_keys: {question: question, context: context}
  ref_keys: [answers]
framework_args: {opset: 11, optimization_level: 1}
benchmarked:
  quantization_approach: [dynamic, static]
  operators_to_quantize: [[Add], [Add, MatMul]]
"""


def read(text: str) -> SweepConfig:
    return read_config(text, "sweep.yaml", registry.catalog())


def errors_of(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value


def problem(text: str, path: str) -> str:
    found = [str(item) for item in errors_of(text).problems if item.path == path]
    assert len(found) == 1, str(errors_of(text))
    return found[0]


def edited(**changes: object) -> str:
    """GOOD with top-level keys replaced (JSON is YAML)."""
    import yaml

    data = yaml.safe_load(GOOD) | changes
    return json.dumps({key: value for key, value in data.items() if value is not ...})


def test_a_good_config_keeps_its_order_and_fills_in_defaults() -> None:
    config = read(GOOD)
    assert list(config.benchmarked) == ["quantization_approach", "operators_to_quantize"]
    assert config.framework_args.opset == 11
    assert config.sampling == "random"
    assert config.max_eval_samples is None


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    text = edited(
        model_name_or_path=3,
        framework_args={"opset": 9},
        per_channel="yes",
        benchmarked={"operators_to_quantize": [["Matmul"]], "node_exclusion": []},
    )
    assert [item.path for item in errors_of(text).problems] == [
        "model_name_or_path",
        "framework_args.opset",
        "benchmarked.operators_to_quantize[0][0]",
        "benchmarked.node_exclusion",
        "per_channel",
    ]


@pytest.mark.parametrize(
    ("name", "value", "path", "nearest"),
    [
        ("task", "question-anwering", "task", "question-answering"),
        ("quantisation_approach", "static", "quantisation_approach", "quantization_approach"),
        ("operators_to_quantize", ["matmul"], "operators_to_quantize[0]", "MatMul"),
        ("node_exclusion", ["layer_norm"], "node_exclusion[0]", "layernorm"),
        ("metrics", ["exact_mach"], "metrics[0]", "exact_match"),
        ("backend", "locall", "backend", "local"),
        ("framework", "onnx-runtime", "framework", "onnxruntime"),
        ("task_args", {"max_seq_len": 1}, "task_args.max_seq_len", "max_seq_length"),
        ("benchmarked", {"opset": [11]}, "benchmarked.opset", None),
        ("benchmarked", {"frameworkargs.opset": [11]}, "benchmarked.frameworkargs.opset",
         "framework_args.opset"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_an_error_that_names_the_nearest(
    name: str, value: object, path: str, nearest: str | None
) -> None:
    changes = {name: value}
    if name in ("operators_to_quantize", "quantisation_approach"):
        changes["benchmarked"] = {}
    text = problem(edited(**changes), path)
    assert "allowed: " in text
    if nearest is not None:
        assert f"did you mean {nearest!r}?" in text


def test_a_swept_parameter_that_is_also_fixed_is_an_error() -> None:
    text = edited(operators_to_quantize=["MatMul"])
    assert "both fixed and swept" in problem(text, "benchmarked.operators_to_quantize")


@pytest.mark.parametrize("approach", list(SCHEMES))
def test_a_scheme_takes_its_own_parameters_from_the_config(approach: str) -> None:
    config = read(
        edited(
            quantization_approach=approach,
            operators_to_quantize=["MatMul"],
            per_channel=True,
            weight_type="uint8",
            weight_only={"bits": 8},
            benchmarked={},
        )
    )
    scheme = config.quantization()
    assert type(scheme) is SCHEMES[approach]
    assert scheme.operators == ("MatMul",)
    for name in type(scheme).model_fields.keys() - {"approach", "operators"}:
        assert getattr(scheme, name) == getattr(config, name)


def test_every_parameter_of_a_scheme_can_be_swept_or_its_parts_can() -> None:
    for name in APPROACHES_OF:
        assert any(swept.split(".")[0] == name for swept in SWEEPABLE)


def test_the_defaults_of_the_config_are_those_of_the_schemes() -> None:
    for scheme in SCHEMES.values():
        for name in scheme.model_fields.keys() - {"approach", "operators"}:
            field = SweepConfig.model_fields[name]
            assert scheme.model_fields[name].default == field.get_default(call_default_factory=True)


def test_a_nested_parameter_is_swept_by_its_dotted_name() -> None:
    config = read(edited(framework_args={}, benchmarked={"framework_args.opset": [11, 17]}))
    assert config.benchmarked["framework_args.opset"] == (11, 17)


def test_a_nested_swept_parameter_that_is_also_fixed_is_an_error() -> None:
    text = edited(benchmarked={"framework_args.opset": [11, 17]})
    assert "both fixed and swept" in problem(text, "benchmarked.framework_args.opset")


@pytest.mark.parametrize("name", ["batch_sizes", "operators_to_quantize", "metrics"])
def test_an_empty_list_is_an_error(name: str) -> None:
    assert "must not be empty" in problem(edited(**{name: [], "benchmarked": {}}), name)


def test_an_empty_list_of_swept_values_is_an_error() -> None:
    text = edited(benchmarked={"per_channel": []})
    assert "must not be empty" in problem(text, "benchmarked.per_channel")


def test_a_value_that_is_swept_twice_is_an_error() -> None:
    text = edited(benchmarked={"per_channel": [True, True]})
    assert "twice" in problem(text, "benchmarked.per_channel[1]")


@pytest.mark.parametrize(
    ("changes", "path", "told"),
    [
        ({"per_channel": "yes"}, "per_channel", "true or false"),
        ({"batch_sizes": [0]}, "batch_sizes[0]", "at least 1"),
        ({"framework_args": {"opset": 10}}, "framework_args.opset", "at least 11, at most 25"),
        ({"framework_args": {"opset": 11.5}}, "framework_args.opset", "whole number"),
        ({"framework_args": {"optimization_level": 3}}, "framework_args.optimization_level",
         "0, 1, 2, 99"),
        ({"calibration": {"method": "kl"}}, "calibration.method", "entropy"),
        ({"calibration": {"percentile": 99.0}}, "calibration.percentile",
         "belongs to percentile"),
        ({"benchmarked": {"calibration.num_bins": [64, 128]}},
         "benchmarked.calibration.num_bins", "belongs to entropy, percentile"),
        ({"smooth_quant_alpha": 1.5}, "smooth_quant_alpha", "at least 0, at most 1"),
        ({"weight_only": {"block_size": 48}}, "weight_only.block_size", "16, 32, 64, 128, 256"),
        ({"activation_type": "int4"}, "activation_type", "int8, uint8"),
        ({"benchmarked": {"weight_only": [{}]}}, "benchmarked.weight_only", "weight_only.bits"),
        ({"batch_sizes": [4, -1]}, "batch_sizes[1]", "at least 1"),
        ({"input_lengths": [0]}, "input_lengths[0]", "at least 1"),
        ({"num_threads": 0}, "num_threads", "at least 1"),
        ({"num_threads": -2}, "num_threads", "at least 1"),
        ({"time_benchmark_args": {"duration": 0}}, "time_benchmark_args.duration", "more than 0"),
        ({"time_benchmark_args": {"duration": -15}}, "time_benchmark_args.duration", "more than 0"),
        ({"time_benchmark_args": {"precision": 0}}, "time_benchmark_args.precision",
         "more than 0, less than 1"),
        ({"time_benchmark_args": {"precision": 1.5}}, "time_benchmark_args.precision",
         "more than 0, less than 1"),
        ({"time_benchmark_args": {"scenario": "multi-stream"}}, "time_benchmark_args.scenario",
         "single-stream, offline"),
        ({"time_benchmark_args": {"warmup_runs": 0}}, "time_benchmark_args.warmup_runs",
         "at least 1"),
        ({"time_benchmark_args": {"warmup_runs": 10_001}}, "time_benchmark_args.warmup_runs",
         "at most 10000"),
        ({"benchmarked": {"seed": [1, 2]}}, "benchmarked.seed", "describes the whole run"),
        ({"benchmarked": {"per_channel": True}}, "benchmarked.per_channel", "must be a list"),
        ({"task": ...}, "task", "required"),
        ({"backend_args": {"instance_type": "ml.g4dn.2xlarge"}}, "backend_args.instance_type",
         "unknown parameter"),
        ({"backend_args": {"supported_instructions": "sse"}}, "backend_args.supported_instructions",
         "avx512_vnni"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_is_allowed(
    changes: dict[str, object], path: str, told: str
) -> None:
    assert told in problem(edited(**changes), path)


@pytest.mark.parametrize("value", [True, [False, True]])
def test_aware_training_is_refused_in_words(value: object) -> None:
    if isinstance(value, list):
        text = problem(
            edited(benchmarked={"aware_training": value}), "benchmarked.aware_training[1]"
        )
    else:
        text = problem(edited(aware_training=value), "aware_training")
    assert "quantization-aware training is not supported" in text


def test_the_inputs_of_the_task_must_be_mapped_to_columns() -> None:
    dataset = {"path": "x", "data_keys": {"contxt": "c", "question": "q"}, "ref_keys": ["answers"]}
    text = str(errors_of(edited(dataset=dataset, benchmarked={})))
    assert "dataset.data_keys.contxt" in text
    assert "did you mean 'context'?" in text
    assert "dataset.data_keys.context" in text


def test_static_rows_need_a_split_to_calibrate_on() -> None:
    dataset = {"path": "x", "data_keys": {"context": "c", "question": "q"}, "ref_keys": ["answers"]}
    assert "calibrate" in problem(edited(dataset=dataset), "dataset.calibration_split")


def test_a_key_given_twice_is_an_error_as_the_first_would_be_lost() -> None:
    assert "'task' is given twice" in str(errors_of(GOOD + "task: image-classification\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: !!binary aGVsbG8=", "binary is not allowed"),
        ("a: !!set {x}", "set is not allowed"),
        ("1: x", "must be text"),
        ("null: x", "must be text"),
        ("? [1, 2]\n: x", "must be text"),
        ("a: &a {x: *a}", "not a valid config"),
        ("a: .inf", "Out of range float"),
        ("a: " + "9" * 5000, "not a valid config"),
        ("a: " + "[" * 3000, "nested too deeply"),
    ],
)
def test_what_json_does_not_have_is_refused(text: str, told: str) -> None:
    (found,) = errors_of(text).problems
    assert told in str(found)


def test_dates_stay_text_and_merge_keys_work() -> None:
    config = read(GOOD + "model_revision: 2024-01-01\ntime_benchmark_args: {<<: {duration: 3}}\n")
    assert config.model_revision == "2024-01-01"
    assert config.time_benchmark_args.duration == 3


@pytest.mark.parametrize("name", ["batch_sizes", "input_lengths"])
def test_a_list_that_holds_a_value_twice_is_an_error(name: str) -> None:
    assert "twice: 1" in problem(edited(**{name: [1, 2, 1]}), name)


def test_a_group_of_parameters_is_swept_part_by_part() -> None:
    text = edited(framework_args=..., benchmarked={"framework_args": [{"opset": 11}]})
    assert "framework_args.opset" in problem(text, "benchmarked.framework_args")


@pytest.mark.parametrize("text", ["a: [", "", "- just a list", "text"])
def test_what_is_no_mapping_is_one_clear_error(text: str) -> None:
    assert len(errors_of(text).problems) == 1


def test_dotted_values_are_set_in_a_copy() -> None:
    data = {"framework_args": {"opset": 11}}
    changed = with_values(data, {"framework_args.opset": 17, "calibration.method": "minmax"})
    assert changed == {"framework_args": {"opset": 17}, "calibration": {"method": "minmax"}}
    assert data == {"framework_args": {"opset": 11}}


def test_the_schema_knows_every_field_and_every_sweepable_parameter() -> None:
    made = schema(registry.catalog())
    assert set(made["properties"]) == set(SweepConfig.model_fields)
    assert set(made["properties"]["benchmarked"]["properties"]) == set(SWEEPABLE)
    assert made["properties"]["task"]["enum"] == sorted(registry.catalog().tasks)
    assert made["additionalProperties"] is False


def test_the_schema_file_that_the_examples_point_to_is_the_current_one() -> None:
    file = Path(__file__).parents[2] / "examples" / "sweep.schema.json"
    assert json.loads(file.read_text()) == schema(registry.catalog())


@pytest.mark.parametrize(
    "name", ["classifier", "attention_scores", "layer.0", "layer.-1", "block:bert.encoder.layer.3"]
)
def test_parts_of_a_model_can_be_excluded_by_layer_and_module(name: str) -> None:
    config = read(edited(node_exclusion=[name], benchmarked={}))
    assert config.node_exclusion == (name,)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("attention_score", "attention_scores"),
        ("layer.-0", "layer.N"),
        ("layer.x", "layer.N"),
        ("layers.1", "layer.N"),
        ("block:", "block:NAME"),
        ("block:a..b", None),
        ("block:a b", None),
    ],
)
def test_an_exclusion_that_names_nothing_is_told_with_all_names(
    name: str, nearest: str | None
) -> None:
    (found,) = errors_of(edited(node_exclusion=[name], benchmarked={})).problems
    assert found.path == "node_exclusion[0]"
    assert found.allowed is not None
    assert "classifier, layer.N, block:NAME" in found.allowed
    if nearest is not None:
        assert found.nearest == nearest


def test_an_exporter_that_writes_the_opset_of_no_row_is_told_with_what_works() -> None:
    fixed = edited(framework_args={"opset": 17, "exporter": "dynamo"})
    assert "take framework_args.opset 18 to 25" in problem(fixed, "framework_args.exporter")
    swept = {"framework_args.exporter": ["torchscript"]}
    text = edited(framework_args={"opset": 21}, benchmarked=swept)
    said = problem(text, "benchmarked.framework_args.exporter")
    assert "or framework_args.exporter dynamo" in said


def test_an_exporter_that_writes_the_opset_of_some_rows_is_left_to_the_plan() -> None:
    swept = {"framework_args.opset": [11, 18]}
    config = read(edited(framework_args={"exporter": "dynamo"}, benchmarked=swept))
    assert config.benchmarked["framework_args.opset"] == (11, 18)


def test_an_opset_that_only_the_newer_exporter_writes_needs_no_exporter_to_be_named() -> None:
    assert read(edited(framework_args={"opset": 25})).export().exporter == "dynamo"


def test_an_unknown_exporter_is_told_once_with_those_that_exist() -> None:
    text = edited(framework_args={"opset": 18, "exporter": "tracing"})
    assert "torchscript, dynamo" in problem(text, "framework_args.exporter")


TEXTS = {
    "task": "text-classification",
    "dataset": {"path": "d", "data_keys": {"text": "a"}, "ref_keys": ["label"]},
    "benchmarked": {},
}


def test_an_input_can_be_optional() -> None:
    dataset = dict(TEXTS["dataset"], data_keys={"text": "a", "text_pair": "b"})  # type: ignore[call-overload]
    config = read(edited(**(TEXTS | {"dataset": dataset})))
    assert config.dataset.data_keys == {"text": "a", "text_pair": "b"}
    dataset["data_keys"] = {"text_pairs": "b"}
    text = edited(**(TEXTS | {"dataset": dataset}))
    said = problem(text, "dataset.data_keys.text_pairs")
    assert "allowed: text, text_pair" in said
    assert "did you mean 'text_pair'?" in said
    assert "required by text-classification" in problem(text, "dataset.data_keys.text")


def test_arguments_of_a_task_that_contradict_are_told_where_they_stand() -> None:
    args = {"is_regression": True, "is_multi_label": True, "positive_class": [1]}
    text = edited(**TEXTS, task_args=args)
    assert "contradicts is_regression" in problem(text, "task_args.is_multi_label")
    assert "the name or the number of a class" in problem(text, "task_args.positive_class")
