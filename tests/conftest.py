"""What tests of several rooms share."""

import pytest

from tiny_models import Models, made_once


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Small random models and their exports, made when first asked for."""
    return made_once(tmp_path_factory.mktemp("models"))
