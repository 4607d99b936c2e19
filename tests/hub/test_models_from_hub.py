"""Models from the hub: the real client and the real code, against a hub on loopback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from machine import Machine

from fake_hub import TOKEN, FakeHub
from tiny_models import Models

NAME = "owner/name"


def changed(folder: Path, target: Path, **files: bytes | None) -> Path:
    """A copy of a model's folder in which files are others, or (None) missing."""
    shutil.copytree(folder, target)
    for name, data in files.items():
        path = target / name
        path.unlink() if data is None else path.write_bytes(data)
    return target


def in_another_file(path: Path, location: str, said: str | None = None) -> None:
    """Move the weights of an ONNX file to another one, and say that they are in `said`."""
    import onnx

    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location=location, size_threshold=0
    )
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and said is not None:
                entry.value = said
    path.write_bytes(model.SerializeToString())


class TestTheRevision:
    def test_a_name_is_pinned_to_the_commit_of_the_default_branch(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        found = machine.model(NAME)
        assert (found["revision"], found["name"], found["notes"]) == (commit, NAME, [])
        assert Path(found["directory"]).name == commit
        assert found["num_parameters"] > 1000

    def test_only_files_that_are_needed_are_downloaded(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        assert machine.model(NAME)["files"] == [
            "README.md", "config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt",
        ]  # fmt: skip
        for unwanted in ("training_args", "tf_model", ".py", ".onnx"):
            assert hub.asked(f"resolve/{unwanted}") == 0

    def test_branches_tags_and_commits_are_honoured(
        self, hub: FakeHub, machine: Machine, model_folder: Path, tmp_path: Path
    ) -> None:
        other = changed(model_folder, tmp_path / "other", **{"vocab.txt": b"[PAD]\nnew\n"})
        old = hub.add("model", NAME, model_folder, refs=("main", "v1"))
        new = hub.add("model", NAME, other, refs=("main", "next"))
        found = {
            revision: machine.model(NAME, revision)["revision"]
            for revision in (None, "main", "next", "v1", old, new)
        }
        assert found == {None: new, "main": new, "next": new, "v1": old, old: old, new: new}

    def test_a_default_branch_that_moved_is_seen(
        self, hub: FakeHub, machine: Machine, model_folder: Path, tmp_path: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        machine.model(NAME)
        other = changed(model_folder, tmp_path / "other", **{"vocab.txt": b"[PAD]\nnew\n"})
        new = hub.add("model", NAME, other)
        assert machine.model(NAME)["revision"] == new

    @pytest.mark.parametrize("revision", ["v9", "0123456789abcdef0123456789abcdef01234567"])
    def test_an_unknown_one_is_refused(
        self, hub: FakeHub, machine: Machine, model_folder: Path, revision: str
    ) -> None:
        hub.add("model", NAME, model_folder)
        message = machine.refused_model(NAME, revision)
        assert f"model_revision = {revision}: the model {NAME} has no such branch" in message

    def test_an_old_name_is_replaced_and_the_user_told(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        today = "distilbert/distilbert-base-uncased-distilled-squad"
        commit = hub.add("model", today, model_folder)
        found = machine.model("distilbert-base-uncased-distilled-squad")
        assert (found["revision"], found["name"]) == (commit, today)
        (note,) = found["notes"]
        assert today in note

    def test_a_name_that_only_the_hub_knows_to_have_moved_is_too(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        hub.moved["old-name"] = NAME
        found = machine.model("old-name")
        assert (found["revision"], found["name"]) == (commit, NAME)
        assert found["notes"] == [f"the model old-name is called {NAME} on the hub today"]


class TestAccess:
    def test_a_model_that_is_not_there(self, hub: FakeHub, machine: Machine) -> None:
        message = machine.refused_model(NAME)
        assert f"model_name_or_path = {NAME}: no such directory here" in message
        assert "no such model on the hub that you may see" in message
        assert "hf auth login" in message

    def test_a_gated_model_says_how_to_get_it_and_comes_with_a_token(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        hub.repositories["model", NAME].gated = True
        message = machine.refused_model(NAME)
        assert "only people who accepted its terms" in message
        assert "hf auth login" in message
        assert machine.blobs() == []
        assert machine.model(NAME, token=TOKEN)["revision"] == commit

    def test_a_token_that_is_refused_is_named(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        message = machine.refused_model(NAME, token="hf_wrong")  # noqa: S106
        assert "refuses the token" in message
        assert "HF_TOKEN" in message


class TestAHubThatFails:
    @pytest.mark.parametrize("match", ["GET /api/", "/tree/", "HEAD", "GET /owner/name/resolve"])
    def test_a_failure_that_passes_is_not_seen(
        self, hub: FakeHub, machine: Machine, model_folder: Path, match: str
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        hub.fail(match, status=503, times=2)
        found = machine.model(NAME)
        assert found["revision"] == commit
        assert found["notes"] == []
        assert hub.faults[0].times == 0

    @pytest.mark.parametrize("match", ["GET /api/", "/resolve/"])
    def test_one_that_stays_is_one_clear_message(
        self, hub: FakeHub, machine: Machine, model_folder: Path, match: str
    ) -> None:
        hub.add("model", NAME, model_folder)
        hub.fail(match, status=500)
        assert "500" in machine.refused_model(NAME)
        hub.faults.clear()
        assert machine.model(NAME)["notes"] == []

    def test_what_was_loaded_before_is_used_meanwhile_and_the_user_told(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        machine.model(NAME)
        hub.fail("/", status=502)
        found = machine.model(NAME)
        assert found["revision"] == commit
        assert "the hub cannot be reached (it answers 502)" in found["notes"][0]

    def test_an_interrupted_download_goes_on_where_it_was(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        commit = hub.repositories["model", NAME].refs["main"]
        hub.fail(f"GET /owner/name/resolve/{commit}/model.safetensors", cut=5000, times=1)
        found = machine.model(NAME)
        weights = Path(found["directory"]) / "model.safetensors"
        assert weights.read_bytes() == (model_folder / "model.safetensors").read_bytes()
        assert 206 in [status for _, status in hub.requests]

    def test_one_that_never_gets_further_leaves_nothing_and_the_next_try_succeeds(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        hub.fail(f"GET /owner/name/resolve/{commit}/model.safetensors", cut=0)
        message = machine.refused_model(NAME)
        assert "broke off" in message
        whole = (model_folder / "model.safetensors").stat().st_size
        assert all(path.stat().st_size < whole for path in machine.blobs())
        assert not [path for path in machine.blobs() if "incomplete" in path.name]
        hub.faults.clear()
        assert machine.model(NAME)["revision"] == commit

    def test_a_file_that_arrives_damaged_is_fetched_again(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        hub.fail("/model.safetensors", spoil=True, times=2)  # HEAD and GET
        weights = Path(machine.model(NAME)["directory"]) / "model.safetensors"
        assert weights.read_bytes() == (model_folder / "model.safetensors").read_bytes()

    def test_a_file_that_always_arrives_damaged_is_not_kept(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        hub.fail("/model.safetensors", spoil=True)
        message = machine.refused_model(NAME)
        assert "model.safetensors: it arrived damaged, 3 times" in message
        assert [path for path in machine.blobs() if len(path.name) == 64] == []

    def test_a_full_disk_is_named_and_the_next_try_succeeds(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, model_folder)
        message = machine.refused_model(NAME, max_file_bytes=20_000)
        assert "does not fit on the disk of" in message
        assert "HF_HOME" in message
        assert not [path for path in machine.blobs() if path.stat().st_size >= 20_000]
        assert not [path for path in machine.blobs() if "incomplete" in path.name]
        assert machine.model(NAME)["revision"] == commit


class TestWithoutANetwork:
    @pytest.mark.parametrize("how", ["offline mode", "no connection"])
    def test_what_was_loaded_before_is_found_with_its_commit(
        self, hub: FakeHub, machine: Machine, model_folder: Path, how: str
    ) -> None:
        commit = hub.add("model", NAME, model_folder, refs=("main", "v1"))
        online = machine.model(NAME)
        machine.model(NAME, "v1")
        hub.stop()
        for revision in (None, "v1", commit):
            found = machine.model(NAME, revision, offline=how == "offline mode")
            assert found["directory"] == online["directory"]
            assert found["revision"] == commit
            assert "the hub cannot be reached" in found["notes"][0]
            assert commit in found["notes"][0]
            assert found["pauses"] == []

    @pytest.mark.parametrize("how", ["offline mode", "no connection"])
    def test_nothing_loaded_before_names_the_files_and_how_to_get_them(
        self, hub: FakeHub, machine: Machine, how: str
    ) -> None:
        hub.stop()
        message = machine.refused_model(NAME, "v1", offline=how == "offline mode")
        assert "the hub cannot be reached" in message
        assert f"{machine.home}/hub lacks config.json and model.safetensors" in message
        assert f"hf download {NAME} --revision v1" in message

    def test_a_file_that_is_missing_of_it_is_named(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        found = machine.model(NAME)
        (Path(found["directory"]) / "vocab.txt").unlink()
        message = machine.refused_model(NAME, offline=True)
        assert "lacks vocab.txt of the model" in message
        assert f"hf download {NAME}" in message

    def test_a_revision_that_was_not_loaded_is_not_answered_with_another(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder, refs=("main", "v1"))
        machine.model(NAME)
        message = machine.refused_model(NAME, "v1", offline=True)
        assert "at revision v1" in message

    def test_a_file_that_was_damaged_on_the_disk_is_named(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        weights = Path(machine.model(NAME)["directory"]) / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 0xFF
        weights.resolve().chmod(0o644)
        weights.resolve().write_bytes(data)
        message = machine.refused_model(NAME, offline=True)
        assert "model.safetensors" in message
        assert "is damaged" in message
        assert machine.model(NAME)["notes"] == []  # online it is fetched again


class TestPickledWeights:
    def saved(self, model_folder: Path, target: Path, content: object = None) -> Path:
        import torch
        from safetensors.torch import load_file

        tensors = content or load_file(model_folder / "model.safetensors")
        shutil.copytree(model_folder, target)
        (target / "model.safetensors").unlink()
        torch.save(tensors, target / "pytorch_model.bin")
        return target

    def test_they_are_taken_where_there_are_no_others(
        self, hub: FakeHub, machine: Machine, model_folder: Path, tmp_path: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        hub.add("model", "owner/pickled", self.saved(model_folder, tmp_path / "pickled"))
        found = machine.model("owner/pickled")
        assert "pytorch_model.bin" in found["files"]
        assert "training_args.bin" not in found["files"]
        assert found["num_parameters"] == machine.model(NAME)["num_parameters"]

    def test_they_are_not_even_downloaded_where_there_are(
        self, hub: FakeHub, machine: Machine, model_folder: Path, tmp_path: Path
    ) -> None:
        both = self.saved(model_folder, tmp_path / "both")
        shutil.copy(model_folder / "model.safetensors", both)
        hub.add("model", NAME, both)
        assert "pytorch_model.bin" not in machine.model(NAME)["files"]

    def test_a_pickle_of_anything_else_is_refused_and_runs_nothing(
        self, hub: FakeHub, machine: Machine, model_folder: Path, tmp_path: Path
    ) -> None:
        trap = tmp_path / "trapped"

        class Trap:
            def __reduce__(self) -> tuple[object, ...]:
                return Path.touch, (trap,)

        hub.add("model", NAME, self.saved(model_folder, tmp_path / "bad", {"weight": Trap()}))
        assert "holds more than tensors" in machine.refused_model(NAME)
        assert not trap.exists()

    def test_other_formats_are_named_though_not_downloaded(
        self, hub: FakeHub, machine: Machine, model_folder: Path, tmp_path: Path
    ) -> None:
        without: dict[str, bytes | None] = {"model.safetensors": None, "onnx/model.onnx": None}
        hub.add("model", NAME, changed(model_folder, tmp_path / "other", **without))
        assert "has weights only as tf_model.h5, training_args.bin" in machine.refused_model(NAME)


class TestAnOnnxFile:
    """`owner/name/onnx/model.onnx`, with the config and the tokenizer from the root."""

    FILE = f"{NAME}/onnx/model.onnx"

    @pytest.fixture
    def onnx_folder(self, models: Models, model_folder: Path, tmp_path: Path) -> Path:
        weights = {"onnx/model.onnx": models.exported("distilbert", 14).read_bytes()}
        return changed(model_folder, tmp_path / "onnx-model", **weights)

    def test_it_comes_with_its_config_and_without_the_weights_for_pytorch(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        commit = hub.add("model", NAME, onnx_folder)
        found = machine.model(self.FILE)
        assert (found["name"], found["revision"]) == (self.FILE, commit)
        assert found["files"] == [
            "README.md", "config.json", "onnx", "tokenizer_config.json", "vocab.txt",
        ]  # fmt: skip
        assert hub.asked("model.safetensors") == 0

    def test_it_is_found_again_offline(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        hub.add("model", NAME, onnx_folder)
        online = machine.model(self.FILE)
        offline = machine.model(self.FILE, offline=True)
        assert (offline["digest"], offline["revision"]) == (online["digest"], online["revision"])

    def test_a_cache_with_only_the_weights_for_pytorch_lacks_it(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        hub.add("model", NAME, onnx_folder)
        machine.model(NAME)
        said = machine.refused_model(self.FILE, offline=True)
        assert "lacks onnx/model.onnx" in said
        assert "hf download owner/name" in said

    def test_a_file_that_is_not_there_is_told_what_is(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        hub.add("model", NAME, onnx_folder)
        said = machine.refused_model(f"{NAME}/onnx/other.onnx")
        assert "owner/name has no such file" in said
        assert "Its ONNX files: onnx/model.onnx" in said

    def test_a_revision_is_honoured(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        old = hub.add("model", NAME, onnx_folder, refs=("v1",))
        assert machine.model(self.FILE, "v1")["revision"] == old

    def test_a_name_cannot_lead_out_of_the_repository(self, machine: Machine) -> None:
        assert "must not hold .." in machine.refused_model(f"{NAME}/../other/model.onnx")

    @pytest.mark.parametrize("parts", ["model.onnx_data", "weights [1].bin"])
    def test_its_weights_in_another_file_come_with_it_whatever_they_are_called(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path, parts: str
    ) -> None:
        in_another_file(onnx_folder / "onnx" / "model.onnx", parts)
        (onnx_folder / "onnx" / "other.bin").write_bytes(b"of another model")
        hub.add("model", NAME, onnx_folder)
        found = machine.model(self.FILE)
        assert found["num_parameters"] > 1000
        cached = Path(found["directory"]) / "onnx"
        assert sorted(path.name for path in cached.iterdir()) == sorted(["model.onnx", parts])
        assert (cached / parts).is_symlink()

    def test_a_name_of_weights_is_no_pattern(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        in_another_file(onnx_folder / "onnx" / "model.onnx", "data", said="*")
        hub.add("model", NAME, onnx_folder)
        assert "its weights in * are missing" in machine.refused_model(self.FILE)
        assert hub.asked("onnx/data") == 0

    def test_a_file_that_is_no_onnx_file_is_refused(
        self, hub: FakeHub, machine: Machine, model_folder: Path
    ) -> None:
        hub.add("model", NAME, model_folder)
        assert "is not an ONNX file" in machine.refused_model(self.FILE)

    def test_a_repository_without_other_weights_is_told_how_to_name_its_onnx_file(
        self, hub: FakeHub, machine: Machine, onnx_folder: Path
    ) -> None:
        (onnx_folder / "model.safetensors").unlink()
        hub.add("model", NAME, onnx_folder)
        said = machine.refused_model(NAME)
        assert "owner/name has no weights for PyTorch, only ONNX files: onnx/model.onnx" in said
        assert "model_name_or_path: owner/name/onnx/model.onnx" in said
