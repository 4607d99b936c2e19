from pathlib import Path

import numpy as np
import onnx
import pytest

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.protocols import SessionOptions
from quantbench.runtimes import ort, pytorch
from quantbench.stages import export
from quantbench.stages.export import export_onnx
from tiny_models import AUTO_CLASS, KINDS, OPSETS, Models, inputs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opset", OPSETS)
def test_the_file_has_the_opset_that_was_asked_for(models: Models, kind: str, opset: int) -> None:
    model = onnx.load(models.exported(kind, opset))
    assert [item.version for item in model.opset_import if item.domain == ""] == [opset]


@pytest.mark.parametrize("kind", KINDS)
def test_batch_and_length_are_free(models: Models, kind: str) -> None:
    options = SessionOptions(1, 0, AUTO_CLASS[kind])
    exported = ort.RUNTIME.open(models.exported(kind, 11), options)
    original = pytorch.RUNTIME.open(models.directory(kind), options)
    for batch, length in [(1, 3), (3, 31), (5, 17)]:
        given = inputs(kind, batch, length)
        found, wanted = exported.bind(given)(), original.bind(given)()
        assert list(found) == list(wanted)
        for name in wanted:
            np.testing.assert_allclose(found[name], wanted[name], atol=1e-4)


def test_padding_is_compared_too(models: Models, tmp_path: Path) -> None:
    facts = export_onnx(
        models.directory("distilbert"),
        AUTO_CLASS["distilbert"],
        11,
        [inputs("distilbert", 2, 8)],
        tmp_path / "model.onnx",
    )
    assert facts.num_checked_inputs == 2
    assert facts.max_abs_difference < 1e-4


def test_nothing_is_printed_and_only_the_file_is_left(
    models: Models, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    shapes = [inputs("vit", 2)]
    facts = export_onnx(models.directory("vit"), AUTO_CLASS["vit"], 17, shapes, path)
    assert facts.opset == 17
    assert facts.num_checked_inputs == 1
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_a_failed_export_is_one_clear_error(
    models: Models, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(QuantbenchError, match="to opset 3") as caught:
        export_onnx(
            models.directory("vit"), AUTO_CLASS["vit"], 3, [inputs("vit", 2)], tmp_path / "m.onnx"
        )
    assert len(str(caught.value)) < 1000
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_file_that_differs_from_pytorch_is_refused(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(QuantbenchError, match="differs from PyTorch by"):
        export_onnx(
            models.directory("vit"), AUTO_CLASS["vit"], 17, [inputs("vit", 2)], tmp_path / "m.onnx"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_the_head_of_the_task_is_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(QuantbenchError, match="has no weights for classifier"):
        export_onnx(
            models.directory("distilbert"),
            "AutoModelForTokenClassification",
            17,
            [inputs("distilbert")],
            tmp_path / "m.onnx",
        )


def test_an_unknown_auto_class_is_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no auto class 'pipeline'"):
        export_onnx(models.directory("vit"), "pipeline", 17, [inputs("vit")], tmp_path / "m.onnx")


def test_no_samples_are_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(QuantbenchError, match="at least one sample"):
        export_onnx(models.directory("vit"), AUTO_CLASS["vit"], 17, [], tmp_path / "m.onnx")
