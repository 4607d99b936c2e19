"""A finished run with made-up measurements, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from shown_run import run_sweep

from fake_backend import FakeBackend


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store and a finished run in `runs/sweep`."""
    folder = tmp_path_factory.mktemp("show")
    assert run_sweep(folder, FakeBackend()) == 0
    return folder


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("QUANTBENCH_STORE", str(place / "store"))
    monkeypatch.setenv("COLUMNS", "80")
