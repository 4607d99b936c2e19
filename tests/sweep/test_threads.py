"""More threads than cores are told when a run begins; more than processors are refused."""

import importlib.resources
from pathlib import Path

import pytest

from quantbench import environment
from quantbench.commands.config_files import read_config_file
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError
from quantbench.worker.prepare import prepare


def config(num_threads: int | None) -> SweepConfig:
    with importlib.resources.as_file(importlib.resources.files("quantbench.demo")) as folder:
        asked, _ = read_config_file(Path(folder) / "demo-digits.yaml")
    return asked.model_copy(update={"num_threads": num_threads, "max_eval_samples": 4})


@pytest.fixture
def two_threads_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = environment.read_cpu()
    cores = {"physical_cores": 2, "logical_cores": 4, "allowed_cores": 2}
    monkeypatch.setattr(environment, "read_cpu", lambda: cpu.model_copy(update=cores))


@pytest.mark.usefixtures("two_threads_per_core")
def test_a_run_with_more_threads_than_cores_says_so_first() -> None:
    prepared = prepare(config(4))
    assert prepared.environment.num_threads == 4
    assert any(note.startswith("4 threads on the ") for note in prepared.notes)


@pytest.mark.usefixtures("two_threads_per_core")
def test_more_threads_than_processors_are_refused() -> None:
    with pytest.raises(ConfigError, match="more threads than the 4 processors"):
        prepare(config(5))


@pytest.mark.usefixtures("two_threads_per_core")
def test_a_run_with_a_core_for_each_thread_says_nothing() -> None:
    for num_threads in (None, 1, 2):
        assert not any("threads on the" in note for note in prepare(config(num_threads)).notes)
