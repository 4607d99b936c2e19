from pathlib import Path

import numpy as np
import onnx
import pytest

from quantbench.core.calibration import Calibration
from quantbench.core.errors import QuantbenchError
from quantbench.core.quantization import Static
from quantbench.graph.digest import graph_digest
from quantbench.stages.calibrate import collect_ranges
from quantbench.stages.quantize import quantize_model
from tiny_models import KINDS, Models, samples

MINMAX = Calibration()


def load_ranges(path: Path) -> dict[str, tuple[float, float]]:
    """The ranges in a file that `collect_ranges` wrote: tensor name to smallest and largest."""
    from onnxruntime.quantization.calibrate import load_tensors_data

    return {
        name: (float(np.min(data.lowest)), float(np.max(data.highest)))
        for name, data in load_tensors_data(path).items()
    }


def test_the_range_of_an_input_is_its_smallest_and_largest_value(
    models: Models, tmp_path: Path
) -> None:
    given = list(samples("vit", 3))
    facts = collect_ranges(
        models.exported("vit", 17), given, ["Conv"], MINMAX, tmp_path / "ranges.json"
    )
    ranges = load_ranges(tmp_path / "ranges.json")
    everything = np.concatenate([sample["pixel_values"] for sample in given])
    assert ranges["pixel_values"] == (everything.min(), everything.max())
    assert (facts.num_samples, facts.num_tensors) == (3, len(ranges))


def test_samples_of_different_lengths_are_read_once_and_one_at_a_time(
    models: Models, tmp_path: Path
) -> None:
    done: list[int] = []
    model, path = models.exported("distilbert", 11), tmp_path / "ranges.json"
    facts = collect_ranges(model, samples("distilbert", 4), ["MatMul"], MINMAX, path, done.append)
    assert done == [1, 2, 3, 4]
    assert facts.num_samples == 4


def test_more_samples_only_widen_ranges(models: Models, tmp_path: Path) -> None:
    model = models.exported("distilbert", 11)
    few, many = tmp_path / "few.json", tmp_path / "many.json"
    collect_ranges(model, samples("distilbert", 2), ["MatMul", "Add"], MINMAX, few)
    collect_ranges(model, samples("distilbert", 5), ["MatMul", "Add"], MINMAX, many)
    narrow, wide = load_ranges(few), load_ranges(many)
    assert narrow.keys() == wide.keys()
    assert all(wide[name][0] <= narrow[name][0] for name in wide)
    assert all(wide[name][1] >= narrow[name][1] for name in wide)
    assert wide != narrow


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opset", [11, 17])
def test_ranges_for_all_operators_serve_a_row_with_fewer(
    models: Models, tmp_path: Path, kind: str, opset: int
) -> None:
    model = models.exported(kind, opset)
    union, alone = tmp_path / "union.json", tmp_path / "alone.json"
    collect_ranges(model, samples(kind, 3), ["Add", "MatMul", "Softmax"], MINMAX, union)
    collect_ranges(model, samples(kind, 3), ["MatMul"], MINMAX, alone)
    wide, narrow = load_ranges(union), load_ranges(alone)
    assert narrow.items() <= wide.items()
    digests = []
    for ranges in (union, alone):
        quantize_model(model, Static(operators=("MatMul",)), ranges, tmp_path / "model.onnx")
        digests.append(graph_digest(onnx.load(tmp_path / "model.onnx")))
    assert digests[0] == digests[1]


def test_nothing_is_written_beside_the_model(models: Models, tmp_path: Path) -> None:
    model = models.exported("vit", 17)
    before = sorted(model.parent.iterdir())
    collect_ranges(model, samples("vit", 1), ["MatMul"], MINMAX, tmp_path / "ranges.json")
    assert sorted(model.parent.iterdir()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["ranges.json"]


def test_no_samples_is_an_error(models: Models, tmp_path: Path) -> None:
    with pytest.raises(QuantbenchError, match=r"no samples(.|\n)*calibration_split"):
        collect_ranges(models.exported("vit", 17), [], ["MatMul"], MINMAX, tmp_path / "r.json")


def test_an_operator_that_is_not_there_is_an_error(models: Models, tmp_path: Path) -> None:
    model, path = models.exported("vit", 17), tmp_path / "r.json"
    with pytest.raises(QuantbenchError, match="no activations of LSTM"):
        collect_ranges(model, samples("vit", 1), ["LSTM"], MINMAX, path)


def test_a_range_that_is_not_finite_is_an_error(models: Models, tmp_path: Path) -> None:
    broken = {"pixel_values": np.full((1, 3, 16, 16), np.inf, dtype=np.float32)}
    with pytest.raises(QuantbenchError, match="not finite"):
        collect_ranges(models.exported("vit", 17), [broken], ["Conv"], MINMAX, tmp_path / "r")


def test_wrong_inputs_are_an_error(models: Models, tmp_path: Path) -> None:
    model, given = models.exported("vit", 17), samples("distilbert", 1)
    with pytest.raises(QuantbenchError, match="takes no input attention_mask, input_ids"):
        collect_ranges(model, given, ["MatMul"], MINMAX, tmp_path / "ranges.json")
