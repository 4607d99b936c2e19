"""The benchmark of all schemes: which cases it makes, its errors, and its table."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from quantbench.core.exporters import Export, export_refusal
from quantbench.core.quantization import SCHEMES as APPROACHES


def _load() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "quantization_schemes.py"
    spec = importlib.util.spec_from_file_location("quantization_schemes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["quantization_schemes"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


schemes = _load()


def test_every_approach_is_made_and_every_export_can_be() -> None:
    assert {type(scheme) for scheme in schemes.SCHEMES.values()} == set(APPROACHES.values())
    assert [export_refusal(export) for export in schemes.EXPORTS] == [None] * 7


def test_all_schemes_are_made_of_one_export_and_the_main_ones_of_all() -> None:
    found = schemes.cases(every=False, only="")
    assert found.pop(schemes.FULL) == list(schemes.SCHEMES)
    assert all(chosen == list(schemes.MAIN) for chosen in found.values())
    assert len(found) == 6


def test_a_part_of_a_name_chooses_schemes_or_exports() -> None:
    assert set(schemes.cases(every=True, only="dynamo")) == {
        Export(opset=opset, exporter="dynamo") for opset in (18, 20, 23)
    }
    chosen = schemes.cases(every=False, only="entropy")
    assert chosen == {schemes.FULL: ["QDQ U8S8, entropy"]}


def test_errors_are_relative_to_the_largest_output_of_all() -> None:
    wanted = [{"logits": np.array([[3.0, 4.0]])}, {"logits": np.array([[0.0, 0.0]])}]
    found = [{"logits": np.array([[3.0, 4.4]])}, {"logits": np.array([[0.1, 0.0]])}]
    errors = schemes.errors(found, wanted)
    assert errors["max_error"] == pytest.approx(0.1)
    assert errors["mean_error"] == pytest.approx((0.4 + 0.1) / 4 / 4.0)
    assert errors["sqnr_db"] == pytest.approx(10 * math.log10(25 / 0.17))


def test_equal_outputs_have_no_error() -> None:
    wanted = [{"logits": np.ones((1, 2), dtype=np.float32)}]
    assert schemes.errors(wanted, wanted) == {
        "max_error": 0.0,
        "mean_error": 0.0,
        "sqnr_db": math.inf,
    }


def test_a_row_without_a_file_says_why_in_the_table() -> None:
    rows = [
        schemes.Row("opset 17", "fp32", num_bytes=2_000_000),
        schemes.Row("opset 17", "QDQ", None, 500_000, 0.02, 0.004, 31.4, 1.625),
        schemes.Row("opset 11", "QDQ", "refused: opset 13 works"),
    ]
    assert schemes.markdown(rows, 2_000_000).splitlines()[2:] == [
        "| opset 17 | fp32 | 2.0 | 1.00 | – | – | – | – |",
        "| opset 17 | QDQ | 0.5 | 0.25 | 2.00% | 0.400% | 31.4 | 1.62 |",
        "| opset 11 | QDQ | refused: opset 13 works | | | | | |",
    ]
