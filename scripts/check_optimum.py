"""Load folders of `quantbench save-model` with Optimum, and compare with ONNX Runtime alone.

    optimum-env/bin/python scripts/check_optimum.py FOLDER [FOLDER ...]

Runs in an environment of its own, without quantbench: Optimum's ONNX package needs an older
transformers (docs/save-model.md has what to install).

For each model file of a folder: Optimum's class for the model's task loads it by the
arguments of the folder's card, from this disk alone; its outputs on one sample must be those of the
file in a plain session with the same options; the pipeline of the task must take the model, with
the tokenizer or image processor of the folder. A quantized file must not answer as the fp32 export
does. Exit code 0 if all is so, 1 if not.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Read when transformers is imported: nothing is looked for on the hub.
os.environ["HF_HUB_OFFLINE"] = "1"

PACKAGES = ("optimum", "optimum-onnx", "transformers", "torch", "onnxruntime")
QUESTION = {"question": "Where is the key?", "context": "The key is in a box on the table."}


@dataclass(frozen=True)
class Loading:
    """How models of one task are loaded and asked.

    `optimum_class` is of `optimum.onnxruntime`, `auto_class` of `transformers`. `pipeline_part` is
    the argument of `pipeline` for what the latter loads. `encode` gives the model's inputs for one
    sample, `ask` the pipeline's answer on it.
    """

    optimum_class: str
    auto_class: str
    pipeline_part: str
    encode: Callable[[Any], Mapping[str, Any]]
    ask: Callable[[Any], Any]


def picture() -> Any:
    """An RGB image of 64 by 48 pixels in many colours."""
    images = importlib.import_module("PIL.Image")
    values = np.arange(48 * 64 * 3, dtype=np.int64) * 7 % 251
    return images.fromarray(values.astype(np.uint8).reshape(48, 64, 3))


# By the task, as transformers calls it.
TASKS = {
    "question-answering": Loading(
        "ORTModelForQuestionAnswering",
        "AutoTokenizer",
        "tokenizer",
        lambda part: part(QUESTION["question"], QUESTION["context"], return_tensors="np"),
        lambda ask: ask(**QUESTION),
    ),
    "image-classification": Loading(
        "ORTModelForImageClassification",
        "AutoImageProcessor",
        "image_processor",
        lambda part: part(picture(), return_tensors="np"),
        lambda ask: ask(picture()),
    ),
}


def main() -> None:
    """Check all folders, and end with what did not work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    folders = parser.parse_args().folders
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    problems = [problem for folder in folders for problem in check(folder)]
    if problems:
        sys.exit("\n".join(problems))


def check(folder: Path) -> list[str]:
    """Load every model file of a folder; what did not work, in a line each."""
    record = json.loads((folder / "quantbench.json").read_text())
    loading = TASKS.get(record["task"])
    if loading is None:
        return [f"{folder}: this script knows no task {record['task']!r}: {', '.join(TASKS)}"]
    part = getattr(importlib.import_module("transformers"), loading.auto_class)
    encoder = part.from_pretrained(folder)
    inputs = {name: np.asarray(value) for name, value in loading.encode(encoder).items()}
    found: dict[str, dict[str, np.ndarray]] = {}
    problems: list[str] = []
    for item in record["models"]:
        path = folder / item["path"]
        try:
            model = load(loading, path)
            found[item["path"]] = outputs(model, inputs)
            answer = loading.ask(pipeline(record["task"], loading, model, encoder))
        except Exception as error:  # whatever Optimum raises is what this script is to tell
            problems.append(f"{path}: {type(error).__name__}: {error}")
            continue
        difference = largest_difference(found[item["path"]], alone(path, inputs))
        print(f"{path}: loaded, {difference:g} from ONNX Runtime alone; {shortened(answer)}")
        if difference != 0.0:
            problems.append(f"{path}: the outputs are not those of ONNX Runtime alone")
    answers = list(found.values())
    if any(largest_difference(answers[0], other) == 0.0 for other in answers[1:]):
        problems.append(f"{folder}: the quantized file has the outputs of the fp32 export")
    return problems


def shortened(answer: Any) -> str:
    """The answer of a pipeline, the first of several."""
    return json.dumps(answer[0] if isinstance(answer, list) else answer)


def load(loading: Loading, path: Path) -> Any:
    """A model by Optimum, as the card of its folder says.

    Args:
        loading: of its task.
        path: of the file: FOLDER/onnx/model_int8.onnx, for example.
    """
    kind = getattr(importlib.import_module("optimum.onnxruntime"), loading.optimum_class)
    folder, name = path.parent, path.name
    return kind.from_pretrained(folder.parent, subfolder=folder.name, file_name=name)


def pipeline(task: str, loading: Loading, model: Any, encoder: Any) -> Any:
    """The pipeline of transformers for a model of Optimum."""
    make = importlib.import_module("transformers").pipeline
    return make(task, model=model, **{loading.pipeline_part: encoder})


def outputs(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a model of Optimum answers, by the name of the output."""
    return {name: np.asarray(value) for name, value in model(**inputs).items()}


def alone(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a file answers in a plain session with ONNX Runtime's own options."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    read = {item.name for item in session.get_inputs()}
    names = [item.name for item in session.get_outputs()]
    given = {name: value for name, value in inputs.items() if name in read}
    return dict(zip(names, session.run(names, given), strict=True))


def largest_difference(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """The largest difference of any output; infinite if they do not have the same outputs."""
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        return float("inf")
    return max(float(np.abs(value - other[name]).max()) for name, value in one.items())


if __name__ == "__main__":
    main()
