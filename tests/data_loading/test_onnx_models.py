"""A model that is given as an ONNX file: found, read, and refused where it cannot be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from quantbench.core.calibration import Calibration
from quantbench.core.errors import UsageError
from quantbench.core.quantization import Dynamic, Scheme, Static, WeightOnly
from quantbench.data.models import resolve_model
from quantbench.data.onnx_model import read_onnx
from tiny_models import Models, samples


@pytest.fixture
def folder(models: Models, tmp_path: Path) -> Path:
    """As Optimum and many repositories on the hub have it: the config above `onnx/model.onnx`."""
    root = tmp_path / "exported"
    (root / "onnx").mkdir(parents=True)
    shutil.copy(models.directory("distilbert") / "config.json", root)
    shutil.copy(models.exported("distilbert", 14), root / "onnx" / "model.onnx")
    return root


def resolve(folder: Path) -> object:
    return resolve_model(str(folder / "onnx" / "model.onnx"), None)


def with_weights(path: Path, data_type: int) -> Path:
    """A file that adds two weights of a type."""
    values = helper.make_tensor("w", data_type, [2], [1.0, 2.0])
    output = helper.make_tensor_value_info("y", data_type, [2])
    graph = helper.make_graph([helper.make_node("Add", ["w", "w"], ["y"])], "g", [], [output])
    graph.initializer.append(values)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def constant(name: str, data_type: int, dims: list[int]) -> onnx.NodeProto:
    value = helper.make_tensor(name, data_type, dims, [1.0] * (dims[0] if dims else 1))
    return helper.make_node("Constant", [], [name], value=value)


def saved(
    path: Path, nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto] | None = None
) -> Path:
    """A file from `x` to `y`."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def in_another_file(folder: Path, **said: str) -> Path:
    """The file with its weights in `weights`, of which the first is said to be elsewhere."""
    path = folder / "onnx" / "model.onnx"
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0
    )
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = said.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())
    return path


class TestAFileThatIsThere:
    def test_it_is_described_by_itself_and_the_config_above_it(self, folder: Path) -> None:
        source = resolve_model(str(folder / "onnx" / "model.onnx"), None)
        assert source.directory == folder
        assert source.architecture == "DistilBertForQuestionAnswering"
        assert source.revision is None
        assert source.onnx is not None
        assert source.onnx.opset == 14
        assert source.onnx.input_names == ("input_ids", "attention_mask")
        assert source.onnx.output_names == ("start_logits", "end_logits")
        assert source.onnx.unfit is None

    def test_a_config_beside_it_goes_before_the_one_above(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | {"architectures": ["Other"]}
        (folder / "onnx" / "config.json").write_text(json.dumps(config))
        source = resolve_model(str(folder / "onnx" / "model.onnx"), None)
        assert (source.directory, source.architecture) == (folder / "onnx", "Other")

    def test_its_parameters_are_those_of_the_model(self, models: Models, folder: Path) -> None:
        source = resolve_model(str(folder / "onnx" / "model.onnx"), None)
        weights = resolve_model(str(models.directory("distilbert")), None).num_parameters
        # The exporter adds a few constants.
        assert weights <= source.num_parameters < weights * 1.01

    def test_its_digest_changes_with_the_weights_and_with_the_config(self, folder: Path) -> None:
        path = folder / "onnx" / "model.onnx"
        digests = [resolve_model(str(path), None).digest]
        model = onnx.load(path)
        weight = numpy_helper.to_array(model.graph.initializer[0])
        model.graph.initializer[0].CopyFrom(
            numpy_helper.from_array(weight + np.float32(1), model.graph.initializer[0].name)
        )
        onnx.save(model, path)
        digests.append(resolve_model(str(path), None).digest)
        (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
        digests.append(resolve_model(str(path), None).digest)
        assert len(set(digests)) == 3


class TestWeightsInAnotherFile:
    @pytest.fixture
    def split(self, folder: Path) -> Path:
        path = folder / "onnx" / "model.onnx"
        onnx.save(
            onnx.load(path),
            path,
            save_as_external_data=True,
            location="model.onnx_data",
            size_threshold=0,
        )
        return path

    def test_they_count_for_the_digest(self, split: Path) -> None:
        before = resolve_model(str(split), None).digest
        weights = split.with_name("model.onnx_data")
        content = bytearray(weights.read_bytes())
        content[0] ^= 1
        weights.write_bytes(content)
        assert resolve_model(str(split), None).digest != before

    def test_they_are_missed_by_name(self, split: Path) -> None:
        split.with_name("model.onnx_data").unlink()
        with pytest.raises(UsageError, match=r"weights in model\.onnx_data are missing"):
            resolve_model(str(split), None)

    def test_half_of_them_is_not_enough(self, split: Path) -> None:
        weights = split.with_name("model.onnx_data")
        weights.write_bytes(weights.read_bytes()[:1000])
        with pytest.raises(UsageError, match=r"model.onnx_data are only a part"):
            resolve_model(str(split), None)

    @pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "a/../../secret.bin"])
    def test_they_are_never_looked_for_outside_the_folder(self, split: Path, location: str) -> None:
        model = onnx.load(split, load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = location
        split.write_bytes(model.SerializeToString())
        with pytest.raises(UsageError, match="outside its folder"):
            resolve_model(str(split), None)


class TestWhatIsRefused:
    def test_a_path_without_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no such file"):
            resolve_model(str(tmp_path / "model.onnx"), None)

    @pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07"])
    def test_a_file_that_is_no_onnx_file(self, folder: Path, content: bytes) -> None:
        (folder / "onnx" / "model.onnx").write_bytes(content)
        with pytest.raises(UsageError, match="is not an ONNX file, or only a part of one"):
            resolve(folder)

    def test_half_a_file(self, folder: Path) -> None:
        path = folder / "onnx" / "model.onnx"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(UsageError, match="is not an ONNX file, or only a part of one"):
            resolve(folder)

    def test_a_file_without_a_config(self, folder: Path) -> None:
        (folder / "config.json").unlink()
        with pytest.raises(UsageError, match=r"there is no config.json"):
            resolve(folder)

    def test_a_revision_of_a_local_file(self, folder: Path) -> None:
        with pytest.raises(UsageError, match="model_revision = main means nothing"):
            resolve_model(str(folder / "onnx" / "model.onnx"), "main")

    def test_a_directory_with_only_an_onnx_file_is_told_how_to_name_it(self, folder: Path) -> None:
        with pytest.raises(UsageError, match="no weights for PyTorch") as caught:
            resolve_model(str(folder), None)
        assert caught.value.hint is not None
        assert f"model_name_or_path: {folder}/onnx/model.onnx" in caught.value.hint

    @pytest.mark.parametrize(
        ("scheme", "operator"),
        [
            (Dynamic(operators=("MatMul",)), "DynamicQuantizeLinear"),
            (Static(operators=("MatMul",)), "DequantizeLinear"),
            (Static(operators=("MatMul",), quant_format="QOperator"), "QLinearMatMul"),
            (WeightOnly(operators=("MatMul",)), "MatMulNBits"),
        ],
    )
    def test_a_file_that_is_quantized_already_is_unfit(
        self, models: Models, tmp_path: Path, scheme: Scheme, operator: str
    ) -> None:
        from quantbench.stages.calibrate import collect_ranges
        from quantbench.stages.quantize import quantize_model

        exported, path, ranges = models.exported("distilbert", 14), tmp_path / "int8.onnx", None
        if isinstance(scheme, Static):
            ranges = tmp_path / "ranges.json"
            collect_ranges(exported, samples("distilbert", 2), ["MatMul"], Calibration(), ranges)
        quantize_model(exported, scheme, ranges, path)
        unfit = str(read_onnx(path).unfit)
        assert unfit.startswith("it is quantized already: it holds ")
        assert operator in unfit

    @pytest.mark.parametrize(
        ("data_type", "name"),
        [(TensorProto.FLOAT16, "float16"), (TensorProto.DOUBLE, "double")],
    )
    def test_weights_of_other_types_are_unfit(
        self, tmp_path: Path, data_type: int, name: str
    ) -> None:
        found = read_onnx(with_weights(tmp_path / "model.onnx", data_type))
        assert found.unfit == f"its weights are {name}, not float32"

    def test_weights_that_are_stored_in_int8_are_unfit(self, tmp_path: Path) -> None:
        nodes = [
            helper.make_node("DequantizeLinear", ["w", "s"], ["f"]),
            helper.make_node("Add", ["x", "f"], ["y"]),
        ]
        weights = [
            helper.make_tensor("w", TensorProto.INT8, [2], [1, 2]),
            helper.make_tensor("s", TensorProto.FLOAT, [], [0.5]),
        ]
        found = read_onnx(saved(tmp_path / "model.onnx", nodes, weights))
        assert found.unfit == "it is quantized already: it holds DequantizeLinear"

    def test_weights_in_constants_count(self, tmp_path: Path) -> None:
        nodes = [
            constant("w", TensorProto.FLOAT16, [2]),
            helper.make_node("Add", ["x", "w"], ["y"]),
        ]
        found = read_onnx(saved(tmp_path / "model.onnx", nodes))
        assert found.unfit == "its weights are float16, not float32"
        assert found.num_parameters == 2

    @pytest.mark.parametrize(
        ("inside", "said"),
        [
            (constant("then", TensorProto.FLOAT16, [2]), "its weights are float16"),
            (helper.make_node("MatMulInteger", ["a", "b"], ["then"]), "holds MatMulInteger"),
        ],
        ids=["weights", "nodes"],
    )
    def test_graphs_inside_of_nodes_count(
        self, tmp_path: Path, inside: onnx.NodeProto, said: str
    ) -> None:
        result = [helper.make_tensor_value_info("then", TensorProto.FLOAT, [2])]
        branch = helper.make_graph([inside], "branch", [], result)
        nodes = [helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)]
        assert said in str(read_onnx(saved(tmp_path / "model.onnx", nodes)).unfit)

    def test_a_single_double_between_casts_is_no_weight(self, tmp_path: Path) -> None:
        nodes = [constant("c", TensorProto.DOUBLE, []), helper.make_node("Add", ["x", "c"], ["y"])]
        assert read_onnx(saved(tmp_path / "model.onnx", nodes)).unfit is None


class TestNamesThatLeadNowhere:
    @pytest.mark.parametrize("name", ["./" + "a" * 5000 + ".onnx", "~no_such_user/model.onnx"])
    def test_one_that_cannot_be_looked_up(self, name: str) -> None:
        with pytest.raises(UsageError, match="cannot be looked up on this machine") as caught:
            resolve_model(name, None)
        assert len(str(caught.value)) < 400

    def test_the_name_of_weights_that_is_too_long(self, folder: Path) -> None:
        path = in_another_file(folder, location="a" * 5000)
        with pytest.raises(UsageError, match="cannot be looked up on this machine"):
            resolve_model(str(path), None)

    @pytest.mark.parametrize("key", ["offset", "length"])
    @pytest.mark.parametrize("value", ["abc", "-1", "1e3", "9" * 40])
    def test_a_place_of_weights_that_is_no_number(self, folder: Path, key: str, value: str) -> None:
        path = in_another_file(folder, **{key: value})
        with pytest.raises(UsageError, match=f"the {key} of its weight .* is '"):
            resolve_model(str(path), None)

    def test_weights_in_a_file_without_a_name(self, folder: Path) -> None:
        with pytest.raises(UsageError, match="does not say in which file"):
            resolve_model(str(in_another_file(folder, location="")), None)


class TestLinks:
    def test_the_config_is_looked_for_where_the_file_was_given(
        self, folder: Path, tmp_path: Path
    ) -> None:
        """Not where a link leads to: the hub's cache has contents elsewhere."""
        content = tmp_path / "elsewhere" / "content"
        content.parent.mkdir()
        (folder / "onnx" / "model.onnx").rename(content)
        (folder / "onnx" / "model.onnx").symlink_to(content)
        source = resolve_model(str(folder / "onnx" / "model.onnx"), None)
        assert source.directory == folder

    def test_dots_in_a_path_change_nothing(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "onnx" / "deeper").mkdir()
        monkeypatch.chdir(folder / "onnx" / "deeper")
        assert resolve_model("../model.onnx", None).directory == folder


class TestWhatTheGraphSays:
    def test_the_other_files_are_named_once_and_count_for_the_size(self, folder: Path) -> None:
        path = folder / "onnx" / "model.onnx"
        size = path.stat().st_size
        found = read_onnx(in_another_file(folder))
        assert found.external == ("weights",)
        assert size < found.num_bytes < size * 1.5

    def test_how_many_tokens_it_knows(self, models: Models) -> None:
        found = read_onnx(models.exported("distilbert", 14))
        config = json.loads((models.directory("distilbert") / "config.json").read_text())
        assert found.num_tokens == config["vocab_size"]

    def test_how_many_classes_it_knows(self, tmp_path: Path) -> None:
        add = helper.make_node("Add", ["x", "x"], ["y"])
        assert read_onnx(saved(tmp_path / "model.onnx", [add])).widths == {"y": 2}
