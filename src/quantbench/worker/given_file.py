"""Whether an ONNX file that was given is what the config, its `config.json` and the task say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantbench import registry
from quantbench.core.config import SweepConfig
from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.core.exporters import MAX_OPSET, MIN_OPSET
from quantbench.protocols import Inputs, Outputs
from quantbench.worker.opened import Opened

PARAMETER = "model_name_or_path"
CLASSES = "logits"


def check_given_file(config: SweepConfig, opened: Opened) -> None:
    """Refuse an ONNX file that is not what the config, its `config.json` and the task say.

    The file is run only where the graph does not say how many classes it knows.

    Raises:
        ConfigError: with all that does not fit.
    """
    from quantbench.stages.export import MOST_BYTES

    given, spec = opened.source.onnx, registry.task(config.task).spec
    if given is None:
        return
    problems = _sizes(opened.source.config, given.num_tokens, given.widths)
    if given.num_bytes > MOST_BYTES:
        message = f"the file and its weights have {given.num_bytes / 1e9:.1f} GB"
        problems.append(Problem(PARAMETER, message, allowed="2 GB, what one file can hold"))
    if given.unfit is not None:
        allowed = "float32 models: name the file that this one was made from"
        problems.append(Problem(PARAMETER, given.unfit, allowed=allowed))
    if not MIN_OPSET <= given.opset <= MAX_OPSET:
        message = f"the file has opset {given.opset}, files are not converted: export it again"
        allowed = f"opsets {MIN_OPSET} to {MAX_OPSET}"
        problems.append(Problem(PARAMETER, message, allowed=allowed))
    elif given.opset != config.framework_args.opset:
        message = f"the file has opset {given.opset}: write that, files are not converted"
        asked = str(config.framework_args.opset)
        problems.append(Problem("framework_args.opset", message, asked, str(given.opset)))
    rng = np.random.default_rng(0)
    made = opened.task.dummy_inputs(1, min(config.input_lengths), rng)
    unknown = [name for name in given.input_names if name not in made]
    unused = [name for name in made if name not in given.input_names]
    if unknown or unused:
        message = f"the file's inputs are not those of {spec.name} with this model"
        names = ", ".join(given.input_names)
        problems.append(Problem(PARAMETER, message, names, ", ".join(made)))
    missing = [name for name in spec.output_names if name not in given.output_names]
    if missing:
        message = f"the file's outputs are not those of {spec.name}"
        names, wanted = ", ".join(given.output_names), ", ".join(spec.output_names)
        problems.append(Problem(PARAMETER, message, names, wanted))
    if problems:
        raise ConfigError("config", problems)
    if CLASSES in spec.output_names and given.widths[CLASSES] is None:
        width = _run(given.path, made)[CLASSES].shape[-1]
        problems = _sizes(opened.source.config, None, {CLASSES: width})
        if problems:
            raise ConfigError("config", problems)


def _sizes(
    config: Mapping[str, Any], num_tokens: int | None, widths: Mapping[str, int | None]
) -> list[Problem]:
    """What the graph and `config.json` say of one size, where they differ."""
    problems: list[Problem] = []
    classes, width = _num_classes(config), widths.get(CLASSES)
    if width is not None and width != classes:
        message = f"the file's output {CLASSES} has {width} classes, config.json has {classes}"
        problems.append(Problem(PARAMETER, message))
    vocabulary = config.get("vocab_size")
    if num_tokens is not None and isinstance(vocabulary, int) and num_tokens < vocabulary:
        message = (
            f"the file knows {num_tokens} tokens, config.json has vocab_size {vocabulary}: larger "
            "tokens would be read from behind the end of the table"
        )
        problems.append(Problem(PARAMETER, message))
    return problems


def _num_classes(config: Mapping[str, Any]) -> int:
    names = config.get("id2label")
    if isinstance(names, Mapping):
        return len(names)
    number = config.get("num_labels")
    return number if isinstance(number, int) else 2  # what transformers takes it for


def _run(path: Path, inputs: Inputs) -> Outputs:
    """The outputs of a file.

    Raises:
        UsageError: it does not load or run.
    """
    from quantbench.runtimes.ort import OrtSession, open_session

    try:
        session = OrtSession(open_session(path, 0, 1), None)
        outputs = session.bind(inputs)()
    except Exception as error:  # ONNX Runtime's exceptions share no other base class.
        # Without the hint of this program's own errors, which is for files quantized here.
        line = " ".join(str(error.args[0] if error.args else error).split())
        raise UsageError(f"{PARAMETER}: {path} does not run: {line:.300}") from error
    session.close()
    return outputs
