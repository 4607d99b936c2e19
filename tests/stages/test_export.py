from pathlib import Path
from typing import Any

import pytest

from quantbench.core.errors import QuantbenchError, UsageError
from quantbench.core.exporters import Exporter
from quantbench.stages import export
from quantbench.stages.export import export_onnx
from tiny_models import AUTO_CLASS, Models, inputs


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


@pytest.mark.parametrize(
    "exporter", ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]
)
def test_inputs_in_another_order_than_the_models_keep_their_names(
    models: Models, tmp_path: Path, exporter: Exporter
) -> None:
    given = inputs("bert", 2, 8)
    other = {name: given[name] for name in ("token_type_ids", "input_ids", "attention_mask")}
    path, directory = tmp_path / "model.onnx", models.directory("bert")
    # Outputs are compared with PyTorch's, so wrong names would be an error.
    facts = export_onnx(directory, AUTO_CLASS["bert"], 18, [other], path, exporter)
    assert facts.num_checked_inputs == 2


def test_nothing_is_printed_and_only_the_file_is_left(
    models: Models, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, directory = tmp_path / "model.onnx", models.directory("vit")
    capfd.readouterr()
    facts = export_onnx(directory, AUTO_CLASS["vit"], 17, [inputs("vit", 2)], path)
    assert facts.opset == 17
    assert facts.num_checked_inputs == 1
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_a_failed_export_is_one_clear_error(
    models: Models,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    exporter: Exporter,
) -> None:
    from transformers.models.vit.modeling_vit import ViTModel

    def looks_at_values(self: Any, pixel_values: Any, **_: Any) -> Any:
        return pixel_values.unique() @ pixel_values.frobnicate()

    directory, shapes = models.directory("vit"), [inputs("vit", 2)]
    answers = ViTModel.forward
    write = export._write

    def failing(*args: Any) -> None:
        monkeypatch.setattr(ViTModel, "forward", looks_at_values)
        try:
            write(*args)
        finally:
            monkeypatch.setattr(ViTModel, "forward", answers)

    monkeypatch.setattr(export, "_write", failing)
    capfd.readouterr()
    with pytest.raises(
        QuantbenchError, match=r"cannot export ViT\w+ to opset 18(.|\n)*or try "
    ) as caught:
        export_onnx(directory, AUTO_CLASS["vit"], 18, shapes, tmp_path / "m.onnx", exporter)
    assert "frobnicate" in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_what_no_exporter_writes_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(QuantbenchError, match="dynamo does not write opset 17: take"):
        export_onnx(nowhere, AUTO_CLASS["vit"], 17, [inputs("vit", 2)], tmp_path / "m", "dynamo")


def test_a_file_of_another_opset_than_was_asked_for_is_refused(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for opset 11, dynamo writes 18 and says that all is well."""
    monkeypatch.setattr(export, "export_refusal", lambda _: None)
    directory, shapes = models.directory("vit"), [inputs("vit", 2)]
    with pytest.raises(QuantbenchError, match="wrote opset 18 instead of 11"):
        export_onnx(directory, AUTO_CLASS["vit"], 11, shapes, tmp_path / "m.onnx", "dynamo")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_sentence_that_says_what_to_do(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    directory, shapes = models.directory("vit"), [inputs("vit", 2)]
    with pytest.raises(QuantbenchError, match=r"package onnxscript(.|\n)*pip install onnxscript"):
        export_onnx(directory, AUTO_CLASS["vit"], 18, shapes, tmp_path / "m.onnx", "dynamo")


def test_an_operator_that_an_old_opset_lacks_for_its_type_is_one_clear_error(
    tmp_path: Path,
) -> None:
    # Relative positions take the smaller of two whole numbers, which opset 11 has for floats only.
    import transformers

    config = transformers.MPNetConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=66,
    )  # fmt: skip
    transformers.MPNetForQuestionAnswering(config).save_pretrained(tmp_path / "mpnet")
    auto_class, shapes = AUTO_CLASS["distilbert"], [inputs("distilbert", 2)]
    path = tmp_path / "model.onnx"
    wanted = r"Min of int64 exists from opset 12 on(.|\n)*Set framework_args.opset to 12"
    with pytest.raises(QuantbenchError, match=wanted):
        export_onnx(tmp_path / "mpnet", auto_class, 11, shapes, path)
    assert not path.exists()
    assert export_onnx(tmp_path / "mpnet", auto_class, 12, shapes, path).opset == 12


def test_a_file_that_differs_from_pytorch_is_refused(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "EXPORT_TOLERANCE", 0.0)
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
