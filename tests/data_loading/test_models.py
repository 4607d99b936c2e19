"""Finding a model, and what is said when it cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quantbench.core.errors import ConfigError, UsageError
from quantbench.core.specs import TaskSpec
from quantbench.data import bundled
from quantbench.data.models import check_architecture, resolve_model

MakeModel = Callable[..., Path]

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class TestALocalDirectory:
    def test_it_is_described_by_its_files(self, tmp_path: Path, make_model: MakeModel) -> None:
        readme = b"---\nlicense: apache-2.0\n---\n# Card\n"
        directory = make_model(tmp_path / "model", **{"README.md": readme})
        source = resolve_model(str(directory), None)
        assert source.directory == directory
        assert source.revision is None
        assert source.model_type == "distilbert"
        assert source.architecture == "DistilBertForQuestionAnswering"
        assert source.config["model_type"] == "distilbert"
        assert source.license == "apache-2.0"
        assert source.num_parameters == 2 * 3

    def test_its_license_is_unknown_without_a_card(
        self, tmp_path: Path, make_model: MakeModel
    ) -> None:
        assert resolve_model(str(make_model(tmp_path / "model")), None).license is None

    def test_a_relative_name_that_exists_goes_before_the_hub(
        self, tmp_path: Path, make_model: MakeModel
    ) -> None:
        make_model(tmp_path / "work" / "owner" / "name")
        assert resolve_model("owner/name", None).directory == tmp_path / "work" / "owner" / "name"


class TestAFrontMatterThatIsHostile:
    """It names no license; the model is used all the same."""

    def license_of(self, tmp_path: Path, make_model: MakeModel, front: str) -> str | None:
        readme = f"---\n{front}\n---\n".encode()
        directory = make_model(tmp_path / "model", **{"README.md": readme})
        return resolve_model(str(directory), None).license

    @pytest.mark.parametrize(
        "front", ["date: 2024-13-45\nlicense: mit", "license: " + "[" * 3000, "license: [mit]"]
    )
    def test_values_that_cannot_be_read(
        self, tmp_path: Path, make_model: MakeModel, front: str
    ) -> None:
        assert self.license_of(tmp_path, make_model, front) is None

    def test_aliases_that_stand_for_gigabytes(self, tmp_path: Path, make_model: MakeModel) -> None:
        lines = ["a0: &a0 {x: 1, y: 2}"]
        lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
        front = "\n".join([*lines, "license: mit"])
        assert self.license_of(tmp_path, make_model, front) is None

    def test_only_its_beginning_is_read(self, tmp_path: Path, make_model: MakeModel) -> None:
        front = f"# {'x' * 100_000}\nlicense: mit"
        assert self.license_of(tmp_path, make_model, front) is None


class TestTheDigest:
    def digest(self, directory: Path) -> str:
        return resolve_model(str(directory), None).digest

    def test_it_is_the_same_in_another_place_and_with_other_side_files(
        self, tmp_path: Path, make_model: MakeModel
    ) -> None:
        one = make_model(tmp_path / "one")
        two = make_model(tmp_path / "two", **{"README.md": b"x", "training_args.bin": b"x"})
        assert self.digest(one) == self.digest(two)

    @pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
    def test_it_changes_with_weights_and_tokenizer(
        self, tmp_path: Path, make_model: MakeModel, name: str
    ) -> None:
        one = make_model(tmp_path / "one")
        content = (one / name).read_bytes() if (one / name).exists() else b""
        # The last byte of the weights belongs to a key of their header.
        changed = content.replace(b"ids", b"ida") if b"ids" in content else content + b" "
        two = make_model(tmp_path / "two", **{name: changed})
        assert self.digest(one) != self.digest(two)


class TestTheHub:
    def cached(self, hub_cache: Path, make_model: MakeModel) -> Path:
        repository = hub_cache / "models--owner--name"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(COMMIT)
        return make_model(repository / "snapshots" / COMMIT)

    def test_a_cached_model_is_found_offline_with_its_commit(
        self, hub_cache: Path, make_model: MakeModel
    ) -> None:
        directory = self.cached(hub_cache, make_model)
        source = resolve_model("owner/name", None)
        assert (source.directory, source.revision) == (directory, COMMIT)
        assert resolve_model("owner/name", COMMIT).digest == source.digest

    def test_a_model_that_is_not_there_offline_says_what_to_do(self) -> None:
        with pytest.raises(UsageError, match="hub cannot be reached") as caught:
            resolve_model("owner/name", "v1")
        assert "model.safetensors of the model at revision v1" in str(caught.value)
        assert "hf download owner/name" in str(caught.value)

    @pytest.mark.parametrize("name", ["a/b/c", "not a name", "a--b"])
    def test_a_name_that_cannot_be_on_the_hub_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="neither a directory that exists here nor a name"):
            resolve_model(name, None)


class TestBundled:
    def test_it_is_found_in_the_package(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_model: MakeModel
    ) -> None:
        monkeypatch.setattr(bundled, "assets_directory", lambda: tmp_path)
        directory = make_model(tmp_path / "digits" / "model")
        assert resolve_model("bundled:digits", None).directory == directory

    @pytest.mark.parametrize("name", ["bundled:digit", "bundled:../digits", "bundled:"])
    def test_only_the_known_names_are(self, name: str) -> None:
        with pytest.raises(ConfigError, match="bundled:questions, bundled:digits"):
            resolve_model(name, None)


class TestBadInput:
    def refused(self, directory: Path | str, match: str, revision: str | None = None) -> str:
        with pytest.raises(UsageError, match=match) as caught:
            resolve_model(str(directory), revision)
        return str(caught.value)

    def test_a_path_that_does_not_exist(self) -> None:
        self.refused("./nothing", "there is no such directory")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_bytes(b"")
        self.refused(tmp_path / "model.safetensors", "is a file")

    def test_no_config(self, tmp_path: Path, make_model: MakeModel) -> None:
        directory = make_model(tmp_path / "model", **{"config.json": None})
        self.refused(directory, "there is no config.json")

    def test_a_config_that_is_not_json(self, tmp_path: Path, make_model: MakeModel) -> None:
        directory = make_model(tmp_path / "model", **{"config.json": b"{"})
        self.refused(directory, "not valid JSON")

    @pytest.mark.parametrize("missing", ["architectures", "model_type"])
    def test_a_config_that_does_not_say_what_it_is(
        self, tmp_path: Path, make_model: MakeModel, missing: str
    ) -> None:
        config = {"architectures": ["A"], "model_type": "a"}
        del config[missing]
        data = json.dumps(config).encode()
        directory = make_model(tmp_path / "model", **{"config.json": data})
        self.refused(directory, f"has no {missing}")

    def test_no_weights(self, tmp_path: Path, make_model: MakeModel) -> None:
        directory = make_model(tmp_path / "model", **{"model.safetensors": None})
        self.refused(directory, r"there are no weights \(model.safetensors\)")

    @pytest.mark.parametrize("name", ["tf_model.h5", "flax_model.msgpack", "weights.bin"])
    def test_weights_of_another_format_are_named(
        self, tmp_path: Path, make_model: MakeModel, name: str
    ) -> None:
        directory = make_model(tmp_path / "model", **{"model.safetensors": None, name: b"weights"})
        assert "save_pretrained" in self.refused(directory, f"the only weights in .* are {name}")

    def test_a_config_that_moves_the_weights(self, tmp_path: Path, make_model: MakeModel) -> None:
        config = {
            "architectures": ["A"],
            "model_type": "a",
            "transformers_weights": "b.safetensors",
        }
        data = json.dumps(config).encode()
        directory = make_model(tmp_path / "model", **{"config.json": data})
        self.refused(directory, "moves the weights to another file")

    def test_weights_that_end_too_early(self, tmp_path: Path, make_model: MakeModel) -> None:
        header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
        whole = len(header).to_bytes(8, "little") + header + bytes(16)
        directory = make_model(tmp_path / "model", **{"model.safetensors": whole})
        assert resolve_model(str(directory), None).num_parameters == 4
        make_model(tmp_path / "model", **{"model.safetensors": whole[:-1]})
        self.refused(directory, "or only a part of one")

    @pytest.mark.parametrize("header", [b"[]", b'{"w": 1}', b'{"w": {"dtype": "F32"}}'])
    def test_weights_with_a_header_that_makes_no_sense(
        self, tmp_path: Path, make_model: MakeModel, header: bytes
    ) -> None:
        data = len(header).to_bytes(8, "little") + header
        directory = make_model(tmp_path / "model", **{"model.safetensors": data})
        self.refused(directory, "not a safetensors file")

    @pytest.mark.parametrize("data", [b"{", b"[]", b'{"weight_map": [1]}'])
    def test_an_index_that_cannot_be_read(
        self, tmp_path: Path, make_model: MakeModel, data: bytes
    ) -> None:
        directory = make_model(tmp_path / "model", **{"model.safetensors.index.json": data})
        self.refused(directory, "not an index of weights")

    @pytest.mark.parametrize("data", [b"", b"short", b"\xff" * 64, b"\x04" + bytes(7) + b"nope"])
    def test_weights_that_are_cut_off(
        self, tmp_path: Path, make_model: MakeModel, data: bytes
    ) -> None:
        directory = make_model(tmp_path / "model", **{"model.safetensors": data})
        self.refused(directory, "not a safetensors file, or only a part of one")

    def test_a_missing_shard_is_named(self, tmp_path: Path, make_model: MakeModel) -> None:
        shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
        index = json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}).encode()
        files = {"model.safetensors": None, "model.safetensors.index.json": index, shards[0]: b"w"}
        directory = make_model(tmp_path / "model", **files)
        assert shards[0] not in self.refused(directory, shards[1])

    def test_a_revision_of_a_local_directory(self, tmp_path: Path, make_model: MakeModel) -> None:
        directory = make_model(tmp_path / "model")
        self.refused(directory, "model_revision = v1 means nothing", revision="v1")


def test_a_model_of_another_task_is_refused(tmp_path: Path, make_model: MakeModel) -> None:
    source = resolve_model(str(make_model(tmp_path / "model")), None)
    spec = TaskSpec(
        "image-classification", ("primary",), 1, (), False, "Auto", "ForImages", ("logits",)
    )
    with pytest.raises(ConfigError, match="DistilBertForQuestionAnswering") as caught:
        check_architecture(source, spec)
    (problem,) = caught.value.problems
    assert problem.path == "model_name_or_path"
    assert "ForImages" in problem.message
    answers = TaskSpec("qa", (), 1, (), True, "Auto", "ForQuestionAnswering", ("start_logits",))
    check_architecture(source, answers)
