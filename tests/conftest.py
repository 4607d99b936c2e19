"""What tests of several rooms share."""

import os
from collections.abc import Iterator

import pytest

from tiny_models import Models, made_once


@pytest.fixture(scope="session", autouse=True)
def _store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a user's own store holds, no test reads or writes it."""
    before = os.environ.get("QUANTBENCH_STORE")
    os.environ["QUANTBENCH_STORE"] = str(tmp_path_factory.mktemp("store"))
    yield
    if before is None:
        del os.environ["QUANTBENCH_STORE"]
    else:
        os.environ["QUANTBENCH_STORE"] = before


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Small random models and their exports, made when first asked for."""
    return made_once(tmp_path_factory.mktemp("models"))
