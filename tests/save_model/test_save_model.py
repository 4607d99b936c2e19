"""`quantbench save-model`: the folder loads, answers as measured, and is whole or not there."""

import importlib.resources
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from quantbench import cli, packaging, registry, run_dir
from quantbench.core.config import SweepConfig
from quantbench.core.results import Evaluation, SweepResult
from quantbench.data.bundled import bundled_directory
from quantbench.store import file_sha256
from quantbench.worker.keys import evaluated_rows
from quantbench.worker.opened import open_config

SHORT: dict[str, Any] = {
    "max_eval_samples": 12,
    "batch_sizes": [1],
    "framework_args": {"opset": 11, "optimization_level": 99},
    "time_benchmark_args": {"duration": 0.3, "warmup_runs": 1},
}
# Row 1 quantizes nothing, row 2 everything that can be.
DYNAMIC = {"quantization_approach": "dynamic", "operators_to_quantize": [["Add"], ["MatMul"]]}


class Place:
    """A working folder with a store, and the command in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def command(self, *arguments: object) -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.root)
            patch.setenv("QUANTBENCH_STORE", str(self.root / "store"))
            return cli.main([str(item) for item in arguments])

    def sweep(self, name: str, config: dict[str, Any]) -> SweepResult:
        (self.root / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        assert self.command("run", f"{name}.yaml", "--out", name, "--quiet") == 0
        return run_dir.load_run(self.root / name, registry.catalog())

    def save(self, run: str, row: object, *options: object, to: str) -> int:
        return self.command("save-model", run, "--row", row, "--to", to, *options)


def demo(name: str) -> dict[str, Any]:
    text = (importlib.resources.files("quantbench.demo") / f"demo-{name}.yaml").read_text()
    config: dict[str, Any] = yaml.safe_load(text) | SHORT | {"benchmarked": {}}
    grid = {key: value for key, value in DYNAMIC.items() if isinstance(value, list)}
    return {**config, "quantization_approach": "dynamic", "benchmarked": grid}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place with a short sweep of each bundled model, the first of them a copy on this disk."""
    found = Place(tmp_path_factory.mktemp("place"))
    shutil.copytree(bundled_directory("bundled:questions", "") / "model", found.root / "model")
    found.sweep(
        "questions", demo("questions") | {"model_name_or_path": "./model", "input_lengths": [32]}
    )
    found.sweep("digits", demo("digits"))
    assert found.save("questions", 2, to="out/questions-int8") == 0
    assert found.save("digits", 2, to="digits-int8") == 0
    return found


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "quantbench.json").read_text())
    return found


def measured(place: Place, run: str, row: int) -> Evaluation:
    result = run_dir.load_run(place.root / run, registry.catalog())
    assert result.plan is not None
    arm_id = result.plan.rows[row - 1].arm_id
    assert arm_id is not None
    found = result.arm(arm_id).evaluation
    assert isinstance(found, Evaluation)
    return found


def answers(folder: Path, file: str, config: SweepConfig) -> Sequence[Any]:
    """What the saved file answers, with the tokenizer or processor of the folder alone."""
    import onnxruntime

    task, rows = registry.task(config.task), open_config(config.model_dump_json()).evaluated
    run = task.open(
        folder,
        config.task_args,
        config.dataset.data_keys,
        config.dataset.ref_keys,
        rows.label_names(config.dataset.ref_keys[0]),
        None,
    )
    session = onnxruntime.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    found = []
    for index in evaluated_rows(config, rows.num_rows):
        sample = rows.row(index)
        parts = run.encode(sample)
        outputs = [
            dict(zip(names, session.run(None, dict(part.inputs)), strict=True)) for part in parts
        ]
        found.append(run.decode(sample, parts, outputs).answer)
    return found


@pytest.mark.parametrize(
    ("run", "folder"), [("questions", "out/questions-int8"), ("digits", "digits-int8")]
)
def test_the_saved_file_answers_as_the_run_measured(place: Place, run: str, folder: str) -> None:
    config = run_dir.load_run(place.root / run, registry.catalog()).config
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.root)
        found = answers(place.root / folder, "onnx/model_int8.onnx", config)
    assert found == [item.answer for item in measured(place, run, 2).predictions]


def test_transformers_loads_config_and_tokenizer(place: Place) -> None:
    import transformers

    folder, model = place.root / "out/questions-int8", place.root / "model"
    loaded = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    original = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
    text = ("Where was the treaty signed?", "It was signed in 1648 in Münster.")
    assert loaded(*text)["input_ids"] == original(*text)["input_ids"]
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    assert config.architectures == ["DistilBertForQuestionAnswering"]


def test_transformers_loads_the_image_processor(place: Place) -> None:
    import transformers

    folder = place.root / "digits-int8"
    loaded = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    model = bundled_directory("bundled:digits", "") / "model"
    original = transformers.AutoImageProcessor.from_pretrained(model, local_files_only=True)
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    first, second = (
        found(image, return_tensors="np")["pixel_values"] for found in (loaded, original)
    )
    np.testing.assert_array_equal(first, second)
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    assert config.num_labels == 10


def test_every_file_has_the_digest_that_is_written_down(place: Place) -> None:
    folder = place.root / "out/questions-int8"
    record = manifest(folder)
    listed = {item["path"]: item["sha256"] for item in record["models"]} | record["files"]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*listed, "quantbench.json"}
    assert {name: file_sha256(folder / name) for name in listed} == listed
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "README.md"} <= there


def test_it_says_what_was_measured(place: Place) -> None:
    record, found = manifest(place.root / "digits-int8"), measured(place, "digits", 2)
    assert record["row_file"] == "onnx/model_int8.onnx"
    assert record["parameters"] == {"operators_to_quantize": ["MatMul"]}
    (metric,) = record["metrics"]
    assert metric["optimized"] == found.metrics["accuracy"]
    assert record["environment"]["packages"]["onnxruntime"]


def test_the_card_says_how_to_load_the_file_and_has_its_pictures(place: Place) -> None:
    folder = place.root / "out/questions-int8"
    card = (folder / "README.md").read_text()
    assert card.startswith((place.root / "questions" / "README.md").read_text())
    assert 'subfolder="onnx", file_name="model_int8.onnx"' in card
    assert "ORTModelForQuestionAnswering" in card
    assert 'dtype: "int8"' in card
    assert (folder / "plots/accuracy_speed-light.svg").is_file()
    assert "plots/accuracy_speed-light.svg" in card


def test_a_row_that_quantizes_nothing_has_the_export_alone(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.save("digits", 1, to="digits-fp32") == 0
    assert "nothing is quantized in row 1" in capsys.readouterr().err
    files = sorted(path.name for path in (place.root / "digits-fp32/onnx").iterdir())
    assert files == ["model.onnx"]


@pytest.mark.slow  # one more sweep
def test_a_saved_folder_is_a_model_that_a_sweep_takes_and_saves_again(place: Place) -> None:
    given = demo("digits") | {"model_name_or_path": "./digits-int8/onnx/model.onnx"}
    given["benchmarked"] = {"operators_to_quantize": [["MatMul"]]}
    result = place.sweep("given", given)
    assert result.config.is_onnx_file()
    assert place.save("given", 1, to="given-int8") == 0
    first, second = manifest(place.root / "digits-int8"), manifest(place.root / "given-int8")
    assert [item["path"] for item in second["models"]] == [item["path"] for item in first["models"]]
    assert [item["graph_digest"] for item in second["models"]] == [
        item["graph_digest"] for item in first["models"]
    ]


def test_json_is_what_was_written(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.save("digits", 2, "--json", to="as-json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said.pop("folder") == "as-json"
    assert said == manifest(place.root / "as-json")


class TestThePlace:
    """Where a folder is written, and where not."""

    def test_what_is_there_is_not_written_over(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = place.root / "mine"
        folder.mkdir()
        (folder / "thesis.txt").write_text("all of it")
        assert place.save("digits", 2, to="mine") == 2
        assert "is not empty: it holds thesis.txt" in capsys.readouterr().err
        assert place.save("digits", 2, "--force", to="mine") == 2
        assert "holds what save-model did not write: thesis.txt" in capsys.readouterr().err
        assert (folder / "thesis.txt").read_text() == "all of it"
        assert len(list(folder.iterdir())) == 1

    def test_an_empty_folder_is_filled(self, place: Place) -> None:
        (place.root / "empty").mkdir()
        assert place.save("digits", 2, to="empty") == 0
        assert manifest(place.root / "empty")["row"] == 2

    def test_with_force_an_earlier_one_is_replaced_whole(self, place: Place) -> None:
        assert place.save("digits", 2, to="again") == 0
        assert place.save("digits", 1, to="again") == 2
        assert manifest(place.root / "again")["row"] == 2
        assert place.save("digits", 1, "--force", to="again") == 0
        assert manifest(place.root / "again")["row"] == 1
        assert not (place.root / "again/onnx/model_int8.onnx").exists()
        assert not list(place.root.glob(".again-*"))

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_a_file_or_a_link_is_refused(
        self, place: Place, kind: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = place.root / f"a-{kind}"
        if kind == "file":
            target.write_text("kept")
        else:
            target.symlink_to(place.root / "elsewhere", target_is_directory=True)
        assert place.save("digits", 2, "--force", to=target.name) == 2
        assert f"is a {kind}" in capsys.readouterr().err
        assert not (place.root / "elsewhere").exists()

    def test_nothing_is_left_of_a_folder_that_could_not_be_finished(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(packaging, "_put", interrupted)
        assert place.save("digits", 2, to="unfinished") == 130
        assert not list(place.root.glob("*unfinished*"))

    def test_a_full_disk_is_told_and_leaves_nothing(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(packaging, "_write", full)
        assert place.save("digits", 2, to="full") == 2
        assert "No space left on device" in capsys.readouterr().err
        assert not list(place.root.glob("*full*"))


class TestWhatIsGone:
    """Files that a run knows of, and that are not as they were."""

    @pytest.fixture
    def damaged(self, place: Place, tmp_path: Path) -> Place:
        for name in ("store", "questions", "model"):
            shutil.copytree(place.root / name, tmp_path / name)
        return Place(tmp_path)

    def artifact(self, place: Place) -> Path:
        key = manifest(place.root / "out/questions-int8")["models"][1]["key"]
        return Path("store/artifacts") / key[:2] / key / "model.onnx"

    def test_an_artifact_that_is_gone_can_be_made_again(
        self, place: Place, damaged: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.rmtree((damaged.root / self.artifact(place)).parent)
        assert damaged.save("questions", 2, to="out") == 1
        said = capsys.readouterr().err
        assert "no longer has the file for onnx/model_int8.onnx" in said
        assert "quantbench run" in said
        assert not (damaged.root / "out").exists()

    def test_a_damaged_artifact_is_not_passed_on(
        self, place: Place, damaged: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = damaged.root / self.artifact(place)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert damaged.save("questions", 2, to="out") == 1
        assert "is damaged" in capsys.readouterr().err
        assert not list(damaged.root.glob("*out*"))

    def test_the_model_that_is_gone_is_named(
        self, damaged: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shutil.rmtree(damaged.root / "model")
        assert damaged.save("questions", 2, to="out") == 2
        assert "the model, which is gone: model_name_or_path = ./model" in capsys.readouterr().err

    def test_another_tokenizer_is_not_put_beside_the_file(
        self, damaged: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = damaged.root / "model/tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"do_lower_case": False}))
        assert damaged.save("questions", 2, to="out") == 2
        assert "./model changed since the run" in capsys.readouterr().err

    def test_a_run_without_a_card_says_how_to_write_it(
        self, damaged: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (damaged.root / "questions/README.md").unlink()
        assert damaged.save("questions", 2, to="out") == 2
        assert "quantbench card questions" in capsys.readouterr().err

    def test_a_key_from_the_results_never_becomes_another_path(
        self, damaged: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        secret = damaged.root / "secret"
        secret.mkdir()
        (secret / "model.onnx").write_text("not for others")
        for file in (damaged.root / "questions/arms").glob("*dynamic*.json"):
            arm = json.loads(file.read_text())
            arm["artifact"]["key"] = "../../../secret"
            file.write_text(json.dumps(arm))
        assert damaged.save("questions", 2, to="out") == 1
        assert "is no key" in capsys.readouterr().err
        assert not (damaged.root / "out").exists()
