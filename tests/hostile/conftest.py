"""A run folder to be spoilt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_run import make_run


@pytest.fixture(scope="session", autouse=True)
def small_commands_are_fast() -> Iterator[None]:
    """Wait for no disk: half of a small command's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four rows, six samples each, beside a folder called `outside`."""
    return make_run(tmp_path_factory.mktemp("hostile"))
