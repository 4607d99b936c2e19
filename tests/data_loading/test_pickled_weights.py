"""Weights in `.bin` files: tensors are read, and nothing else ever runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.data.models import resolve_model
from quantbench.runtimes.pytorch import load_model
from tiny_models import AUTO_CLASS, Models

MakeModel = Callable[..., Path]


class Trap:
    """A pickle of this makes a file when it is read."""

    def __init__(self, path: Path, shell: bool = False) -> None:
        self.path = path
        self.shell = shell

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",)) if self.shell else (Path.touch, (self.path,))


def save(directory: Path, content: Any, name: str = "pytorch_model.bin", **options: Any) -> Path:
    torch.save(content, directory / name, **options)
    return directory


@pytest.fixture
def empty(tmp_path: Path, make_model: MakeModel) -> Path:
    """A model without weights."""
    return make_model(tmp_path / "model", **{"model.safetensors": None})


def refused(directory: Path, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        resolve_model(str(directory), None)


class TestCounting:
    @pytest.mark.parametrize("zipped", [True, False])
    def test_values_are_counted_and_those_that_are_shared_once(
        self, empty: Path, zipped: bool
    ) -> None:
        weight = torch.zeros(2, 3)
        tensors = {"a": weight, "tied": weight, "b": torch.ones(4).half(), "ids": torch.arange(9)}
        save(empty, tensors, _use_new_zipfile_serialization=zipped)
        assert resolve_model(str(empty), None).num_parameters == 6 + 4

    def test_weights_in_several_files_are_added(self, empty: Path) -> None:
        names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
        for size, name in enumerate(names, 1):
            save(empty, {name: torch.zeros(size)}, name)
        index = {"weight_map": {name: name for name in names}}
        (empty / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        assert resolve_model(str(empty), None).num_parameters == 1 + 2
        (empty / names[1]).unlink()
        refused(empty, names[1])

    def test_they_decide_the_digest_only_where_there_are_no_others(
        self, tmp_path: Path, make_model: MakeModel, empty: Path
    ) -> None:
        def digest(directory: Path) -> str:
            return resolve_model(str(directory), None).digest

        save(empty, {"a": torch.zeros(2)})
        before = digest(empty)
        assert digest(save(empty, {"a": torch.ones(2)})) != before
        both = make_model(tmp_path / "both")
        before = digest(both)
        assert digest(save(both, {"a": torch.ones(2)})) == before


class TestWhatIsNotWeights:
    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize("shell", [True, False])
    def test_an_object_that_would_run_code_is_refused_and_runs_nothing(
        self, empty: Path, tmp_path: Path, zipped: bool, shell: bool
    ) -> None:
        trap = tmp_path / "trapped"
        content = {"a": torch.zeros(2), "b": Trap(trap, shell)}
        save(empty, content, _use_new_zipfile_serialization=zipped)
        refused(empty, "more than tensors")
        assert not trap.exists()
        torch.load(empty / "pytorch_model.bin", weights_only=False)
        assert trap.exists()

    @pytest.mark.parametrize("content", [{"state_dict": {"a": torch.zeros(2)}}, [1], {1: 2}])
    def test_plain_data_that_is_no_weights_is_refused(self, empty: Path, content: Any) -> None:
        refused(save(empty, content), "does not hold names and tensors")

    @pytest.mark.parametrize("keep", [0, 1, 100, -50])
    def test_a_part_of_a_file_is_refused(self, empty: Path, keep: int) -> None:
        save(empty, {"a": torch.zeros(100)})
        file = empty / "pytorch_model.bin"
        file.write_bytes(file.read_bytes()[:keep])
        refused(empty, "or only a part of one")


class TestTheRuntime:
    def pickled(self, models: Models, target: Path) -> Path:
        from safetensors.torch import load_file

        source = models.directory("distilbert")
        target.mkdir()
        (target / "config.json").write_bytes((source / "config.json").read_bytes())
        return save(target, load_file(source / "model.safetensors"))

    def test_it_opens_them_with_the_same_values(self, models: Models, tmp_path: Path) -> None:
        auto_class = AUTO_CLASS["distilbert"]
        wanted = load_model(models.directory("distilbert"), auto_class).state_dict()
        found = load_model(self.pickled(models, tmp_path / "bin"), auto_class).state_dict()
        assert set(found) == set(wanted)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)

    def test_it_runs_nothing_either(self, models: Models, tmp_path: Path) -> None:
        trap = tmp_path / "trapped"
        directory = save(self.pickled(models, tmp_path / "bin"), {"weight": Trap(trap)})
        with pytest.raises(QuantbenchError, match="more than tensors"):
            load_model(directory, AUTO_CLASS["distilbert"])
        assert not trap.exists()

    @pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
    @pytest.mark.parametrize("keep", [0, 50, -50])
    def test_a_part_of_a_file_is_a_clear_error(
        self, models: Models, tmp_path: Path, name: str, keep: int
    ) -> None:
        directory = self.pickled(models, tmp_path / "bin")
        whole = (models.directory("distilbert") / "model.safetensors").read_bytes()
        if name == "pytorch_model.bin":
            whole = (directory / name).read_bytes()
        (directory / name).write_bytes(whole[:keep])
        with pytest.raises(QuantbenchError):
            load_model(directory, AUTO_CLASS["distilbert"])
