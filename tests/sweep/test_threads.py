"""More threads than cores are allowed, and told when a run begins."""

import importlib.resources
from pathlib import Path

from quantbench import environment
from quantbench.commands.config_files import read_config_file
from quantbench.core.config import SweepConfig
from quantbench.worker.prepare import prepare


def config(num_threads: int | None) -> SweepConfig:
    with importlib.resources.as_file(importlib.resources.files("quantbench.demo")) as folder:
        asked, _ = read_config_file(Path(folder) / "demo-digits.yaml")
    return asked.model_copy(update={"num_threads": num_threads, "max_eval_samples": 4})


def test_a_run_with_more_threads_than_cores_says_so_first() -> None:
    prepared = prepare(config(1000))
    assert prepared.environment.num_threads == 1000
    assert any(note.startswith("1,000 threads on the ") for note in prepared.notes)


def test_a_run_with_a_core_for_each_thread_says_nothing() -> None:
    cores = environment.read_cpu().allowed_cores
    for num_threads in (None, 1, cores):
        assert not any("threads on the" in note for note in prepare(config(num_threads)).notes)
