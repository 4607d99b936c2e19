"""What tests of stages share."""

from pathlib import Path

import pytest
from quantizing import OPERATORS, Ranges

from quantbench.core.calibration import Calibration
from quantbench.stages.calibrate import collect_ranges
from tiny_models import Models, samples


@pytest.fixture(scope="module")
def ranges(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Ranges:
    """Ranges of the tiny models, calibrated once per model and opset."""
    root = tmp_path_factory.mktemp("ranges")

    def collected(kind: str, opset: int) -> Path:
        path = root / f"{kind}-{opset}.json"
        if not path.exists():
            model = models.exported(kind, opset)
            collect_ranges(model, samples(kind, 4), OPERATORS, Calibration(), path)
        return path

    return collected
