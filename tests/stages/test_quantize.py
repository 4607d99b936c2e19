"""What holds for every scheme, and the check of the files."""

import itertools
import json
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from quantizing import Ranges, digest, quantized

from quantbench.core.effective import effective
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Dynamic, Float32, Static
from quantbench.graph.counts import default_opset
from quantbench.protocols import SessionOptions
from quantbench.runtimes.ort import RUNTIME
from quantbench.stages.check import check_file
from quantbench.stages.quantize import quantize_model
from tiny_models import KINDS, Models, inputs, samples

CARDS = {"distilbert": "distilbert-squad", "vit": "vit-beans"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_the_seed_grid_quantizes_loads_and_runs(
    models: Models, ranges: Ranges, tmp_path: Path, kind: str
) -> None:
    card = json.loads((Path(__file__).parents[1] / f"data/{CARDS[kind]}.json").read_text())
    kinds = {"dynamic": Dynamic, "static": Static}
    digests: dict[str, list[str]] = {}
    for number, row in enumerate(card["accuracy"]):
        asked = kinds[row.get("quantization_approach", "dynamic")](
            operators=tuple(row["operators_to_quantize"]),
            node_exclusion=tuple(row.get("node_exclusion", ())),
            per_channel=row.get("per_channel", False),
        )
        scheme, _ = effective(asked)
        if isinstance(scheme, Float32):
            continue
        for opset in (11, 17):
            if isinstance(scheme, Static) and scheme.per_channel and opset < 13:
                continue
            path = tmp_path / f"{number}-{opset}.onnx"
            facts = quantized(models, kind, opset, scheme, ranges, path)
            executed = check_file(path, [1, 99], inputs(kind, 2), 1)
            assert executed["99"]
            assert any(counts.quantized for counts in facts.nodes.values())
            assert all(c.total == c.quantized + c.left for c in facts.nodes.values())
            digests.setdefault(digest(path), []).append(path.name)
    assert len(digests) >= 4


@pytest.mark.parametrize(
    ("approach", "opset"), list(itertools.product([Dynamic, Static], [13, 14, 18, 20]))
)
def test_matmul_stays_close_to_the_export_at_every_opset(
    models: Models,
    ranges: Ranges,
    tmp_path: Path,
    approach: type[Dynamic] | type[Static],
    opset: int,
) -> None:
    path = tmp_path / "model.onnx"
    scheme = approach(operators=("MatMul",))
    quantized(models, "distilbert", opset, scheme, ranges, path)
    assert default_opset(onnx.load(path)) == opset
    given = next(samples("distilbert", 1))
    found, wanted = (
        RUNTIME.open(each, SessionOptions(1, 99)).bind(given)()["start_logits"]
        for each in (path, models.exported("distilbert", opset))
    )
    assert 0 < np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max()


def test_the_export_is_not_touched_and_nothing_is_said(
    models: Models,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    exported = models.exported("vit", 17)
    before, files = exported.read_bytes(), sorted(exported.parent.iterdir())
    handlers = list(logging.getLogger().handlers)
    path = tmp_path / "model.onnx"
    quantize_model(exported, Dynamic(operators=("MatMul",)), None, path)
    check_file(path, [0, 1, 2, 99], inputs("vit"), 1)
    assert exported.read_bytes() == before
    assert sorted(exported.parent.iterdir()) == files
    assert list(tmp_path.iterdir()) == [path]
    assert logging.getLogger().handlers == handlers
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_what_really_ran_is_recorded_by_level(models: Models, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    quantize_model(models.exported("vit", 17), Dynamic(operators=("MatMul",)), None, path)
    executed = check_file(path, [0, 99], inputs("vit"), 1)
    assert executed["0"]["MatMulInteger"] == 13
    assert "DynamicQuantizeMatMul" not in executed["0"]
    assert executed["99"]["DynamicQuantizeMatMul"] > 0
    assert "MatMulInteger" not in executed["99"]


def test_at_level_1_static_rows_compute_in_float(
    models: Models, ranges: Ranges, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    quantized(models, "distilbert", 17, Static(operators=("MatMul",)), ranges, path)
    executed = check_file(path, [1, 2], inputs("distilbert"), 1)
    assert executed["1"]["MatMul"] == 17
    assert not any(name.startswith("QLinear") for name in executed["1"])
    assert executed["2"]["QLinearMatMul"] > 0


def test_outputs_that_are_not_finite_are_refused(models: Models) -> None:
    broken = {"pixel_values": np.full((1, 3, 16, 16), np.nan, dtype=np.float32)}
    with pytest.raises(QuantbenchError, match="not finite at optimization level 1: logits"):
        check_file(models.exported("vit", 17), [1], broken, 1)
