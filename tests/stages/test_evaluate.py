"""Evaluating: a model whose outputs are not numbers is broken, and not merely wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from quantbench.core.errors import QuantbenchError
from quantbench.core.results import Prediction
from quantbench.protocols import Encoded, Forward, Inputs, Scored, Session, TaskRun
from quantbench.stages.calibrate_graph import first_broken_node
from quantbench.stages.evaluate import MOST_KEPT_LOGITS, evaluate


@dataclass(frozen=True)
class Model:
    """Answers with its input."""

    def bind(self, inputs: Inputs) -> Forward:
        return lambda: {"logits": inputs["x"]}


@dataclass(frozen=True)
class Numbers:
    """A task whose rows are the model's inputs."""

    def encode(self, row: Any) -> tuple[Encoded, ...]:
        return (Encoded({"x": np.array([[row["x"]]], dtype=np.float32)}, None),)

    def decode(self, *_: Any) -> Prediction:
        return Prediction(answer=1)

    def reference(self, row: Any) -> int:
        return 1

    def score(self, predictions: Any, references: Any) -> Scored:
        right = (1.0,) * len(predictions)
        return Scored({"accuracy": 1.0}, {"accuracy": right})


def evaluated(values: list[float], **options: Any) -> float:
    found = evaluate(
        cast("Session", Model()),
        cast("TaskRun", Numbers()),
        [{"x": value} for value in values],
        [str(place) for place in range(len(values))],
        ("accuracy",),
        None,
        lambda _: None,
        **options,
    )
    return found.metrics["accuracy"]


def test_a_nan_in_an_output_fails_and_names_the_sample_and_the_first_node() -> None:
    def first_nan(inputs: Inputs) -> str:
        return f"Log /encoder/Log of {inputs['x'].shape}"

    with pytest.raises(QuantbenchError, match=r"NaN\) for sample 1; .*Log /encoder/Log of \(1, 1"):
        evaluated([0.5, float("nan")], first_nan=first_nan)
    with pytest.raises(QuantbenchError, match="output logits holds values that are not numbers"):
        evaluated([float("nan")])


@dataclass(frozen=True)
class Sorting(Numbers):
    """A task of three classes, with words."""

    def decode(self, *_: Any) -> Prediction:
        return Prediction(answer=1, log_probabilities=((-1.0, -1.1, -1.2),) * 2, logits=(0.5,))


def test_logits_are_kept_of_the_first_samples_until_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quantbench.stages.evaluate.MOST_KEPT_LOGITS", 15)
    found = evaluate(
        cast("Session", Model()),
        cast("TaskRun", Sorting()),
        [{"x": 0.0}] * 4,
        list("abcd"),
        ("accuracy",),
        None,
        lambda _: None,
    )
    assert [len(item.log_probabilities) for item in found.predictions] == [2, 2, 0, 0]
    assert [len(item.logits) for item in found.predictions] == [1, 1, 0, 0]


def test_the_docs_say_how_many_are_kept() -> None:
    docs = Path(__file__).parents[2] / "docs" / "accuracy.md"
    two, thousand = MOST_KEPT_LOGITS // 2, MOST_KEPT_LOGITS // 1000
    said = f"{MOST_KEPT_LOGITS:,} numbers ({two:,} samples with two classes, {thousand} with a"
    assert said in docs.read_text()


def test_infinite_logits_are_numbers() -> None:
    assert evaluated([float("-inf"), 1.0]) == 1.0


def test_the_first_node_that_makes_a_nan_is_not_one_that_makes_infinities(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Log", ["x"], ["log"], name="log"),  # of 0: minus infinity
        helper.make_node("Sub", ["log", "log"], ["y"], name="difference"),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    inputs = {"x": np.zeros(2, dtype=np.float32)}

    def found(**options: Any) -> str | None:
        return first_broken_node(tmp_path / "model.onnx", inputs, tmp_path, **options)

    assert found() == "Log log"
    assert found(is_whole=lambda values: ~np.isnan(values)) == "Sub difference"
