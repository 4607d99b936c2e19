"""The whole path from a given ONNX file, with the bundled model as its source."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from quantbench import cli, registry, run_dir
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError
from quantbench.core.plan import ORIGINAL_ID
from quantbench.core.quantization import Dynamic
from quantbench.core.results import Artifact, Evaluation, SweepResult, Timing
from quantbench.data.bundled import bundled_directory
from quantbench.stages.quantize import quantize_model
from quantbench.worker.prepare import prepare

CONFIG: dict[str, Any] = {
    "task": "question-answering",
    "model_name_or_path": "./exported/onnx/model.onnx",
    "dataset": {
        "path": "bundled:questions",
        "data_keys": {"question": "question", "context": "context"},
        "ref_keys": ["answers"],
        "calibration_split": "train",
    },
    "calibration": {"num_calibration_samples": 10},
    "framework_args": {"opset": 14},
    "max_eval_samples": 24,
    "input_lengths": [32],
    "time_benchmark_args": {"duration": 0.5, "warmup_runs": 2},
    "benchmarked": {"quantization_approach": ["dynamic", "static"]},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with the exported model as other tools lay it out."""
    from quantbench.stages.export import export_onnx

    root = tmp_path_factory.mktemp("given")
    model = bundled_directory("bundled:questions", "model_name_or_path") / "model"
    (root / "exported" / "onnx").mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(model / name, root / "exported")
    ids = np.arange(10, 26, dtype=np.int64).reshape(2, 8)
    sample = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    path = root / "exported" / "onnx" / "model.onnx"
    export_onnx(model, "AutoModelForQuestionAnswering", 14, [sample], path)
    return root


def run(folder: Path, name: str, **changes: Any) -> int:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(CONFIG | changes, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QUANTBENCH_STORE", str(folder / "store"))
        return cli.main(["run", path.name, "--out", name, "--quiet"])


@pytest.fixture(scope="module")
def result(folder: Path) -> SweepResult:
    assert run(folder, "sweep") == 0
    return run_dir.load_run(folder / "sweep", registry.catalog())


def test_the_original_is_the_file_in_onnx_runtime(result: SweepResult) -> None:
    original = result.arm(ORIGINAL_ID)
    assert original.arm.framework == "onnxruntime"
    assert isinstance(original.artifact, Artifact)
    assert original.artifact.opset == 14
    assert original.artifact.max_abs_difference is None
    assert isinstance(original.evaluation, Evaluation)
    assert original.evaluation.metrics["exact_match"] >= 70


def test_every_row_is_evaluated_and_timed_beside_it(result: SweepResult) -> None:
    assert result.plan is not None
    for row in result.plan.rows:
        assert row.arm_id is not None
        found = result.arm(row.arm_id)
        assert isinstance(found.evaluation, Evaluation)
        assert [isinstance(item, Timing) for item in found.timings] == [True]
        assert {item.reference_id for item in found.timings if isinstance(item, Timing)} == {
            ORIGINAL_ID
        }


def test_init_starts_from_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert (
            cli.main(["init", "./exported/onnx/model.onnx", "--dataset", "bundled:questions"]) == 0
        )
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model_name_or_path"] == "./exported/onnx/model.onnx"
    assert config["framework_args"]["opset"] == 14


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"framework_args": {"opset": 17}}, "the file has opset 14: write that"),
        ({"model_name_or_path": "./exported/other.onnx"}, "there is no such file"),
        (
            {"model_revision": "main"},
            "model_revision = main means nothing for ./exported/onnx/model.onnx",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    assert run(folder, "refused", **changes) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "refused").exists()


def test_a_file_that_is_quantized_already_is_refused_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = folder / "exported" / "onnx" / "model.onnx"
    scheme = Dynamic(operators=("MatMul",))
    quantize_model(exported, scheme, None, exported.with_name("model_int8.onnx"))
    given = "./exported/onnx/model_int8.onnx"
    assert run(folder, "refused", model_name_or_path=given) == 2
    said = capsys.readouterr().err
    assert "model_name_or_path" in said
    assert "it is quantized already: it holds DynamicQuantizeLinear" in said
    assert "allowed: float32 models: name the file that this one was made from" in said
    assert not (folder / "refused").exists()


def test_a_file_of_an_old_opset_is_refused_with_the_first_that_works(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(folder / "exported" / "onnx" / "model.onnx")
    model.opset_import[0].version = 9
    onnx.save(model, folder / "exported" / "onnx" / "old.onnx")
    given = "./exported/onnx/old.onnx"
    assert run(folder, "refused", model_name_or_path=given) == 2
    said = capsys.readouterr().err
    assert "the file has opset 9, files are not converted: export it again" in said
    assert "allowed: opsets 11 to 25" in said
    assert run(folder, "refused", model_name_or_path=given, framework_args={"opset": 9}) == 2
    said = capsys.readouterr().err
    assert "framework_args.opset = 9" in said
    assert "11" in said.split("framework_args.opset = 9")[1]
    assert not (folder / "refused").exists()


def check_questions(folder: Path, **changes: Any) -> None:
    """What the preparation says of a copy of the model with other files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("QUANTBENCH_STORE", str(folder / "store"))
        prepare(SweepConfig.model_validate(CONFIG | changes))


def test_a_file_with_an_input_that_the_task_does_not_make_is_refused(folder: Path) -> None:
    model = onnx.load(folder / "exported" / "onnx" / "model.onnx")
    extra = onnx.helper.make_tensor_value_info("position_ids", onnx.TensorProto.INT64, ["b", "l"])
    model.graph.input.append(extra)
    onnx.save(model, folder / "exported" / "extra.onnx")
    with pytest.raises(ConfigError, match="inputs are not those of question-answering"):
        check_questions(folder, model_name_or_path="./exported/extra.onnx")


def test_a_file_that_knows_fewer_tokens_than_its_config_is_refused(folder: Path) -> None:
    model = onnx.load(folder / "exported" / "onnx" / "model.onnx")
    config = json.loads((folder / "exported" / "config.json").read_text())
    (table,) = [w for w in model.graph.initializer if w.dims[:1] == [config["vocab_size"]]]
    values = numpy_helper.to_array(table)[:-1]
    table.CopyFrom(numpy_helper.from_array(values, table.name))
    onnx.save(model, folder / "exported" / "fewer.onnx")
    known, said = config["vocab_size"] - 1, config["vocab_size"]
    with pytest.raises(ConfigError, match=f"knows {known} tokens, .* vocab_size {said}"):
        check_questions(folder, model_name_or_path="./exported/fewer.onnx")


def test_a_file_of_more_than_2_gb_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / "exported" / "onnx" / "model.onnx").stat().st_size
    monkeypatch.setattr("quantbench.stages.export.MOST_BYTES", size)
    check_questions(folder)
    monkeypatch.setattr("quantbench.stages.export.MOST_BYTES", size - 1)
    with pytest.raises(ConfigError, match="2 GB, what one file can hold"):
        check_questions(folder)


@pytest.mark.parametrize("said", [True, False], ids=["said by the graph", "found by running"])
@pytest.mark.parametrize("classes", [10, 12])
def test_a_file_must_have_the_classes_of_its_config(
    tmp_path: Path, said: bool, classes: int
) -> None:
    digits = bundled_directory("bundled:digits", "model_name_or_path") / "model"
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(digits / name, tmp_path)
    pixels = ["batch", "channels", "height", "width"]
    nodes = [
        onnx.helper.make_node("ReduceMean", ["pixel_values"], ["mean"], axes=[1, 2, 3], keepdims=0),
        onnx.helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        onnx.helper.make_node("MatMul", ["column", "weights"], ["logits"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [onnx.helper.make_tensor_value_info("pixel_values", onnx.TensorProto.FLOAT, pixels)],
        [
            onnx.helper.make_tensor_value_info(
                "logits", onnx.TensorProto.FLOAT, ["batch", classes if said else "classes"]
            )
        ],
        [
            numpy_helper.from_array(np.array([1], np.int64), "one"),
            numpy_helper.from_array(np.ones((1, classes), np.float32), "weights"),
        ],
    )
    opsets = [onnx.helper.make_opsetid("", 14)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    config = SweepConfig.model_validate(
        {
            "task": "image-classification",
            "model_name_or_path": str(tmp_path / "model.onnx"),
            "dataset": {
                "path": "bundled:digits",
                "data_keys": {"primary": "image"},
                "ref_keys": ["labels"],
            },
            "framework_args": {"opset": 14},
        }
    )
    if classes == 10:
        prepare(config)
        return
    with pytest.raises(ConfigError, match=r"logits has 12 classes, config\.json has 10"):
        prepare(config)
