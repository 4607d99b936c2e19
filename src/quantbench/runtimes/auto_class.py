"""Which auto class of transformers loads the model of a folder, with its head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quantbench.core.errors import UsageError


def auto_class(folder: Path) -> str:
    """The name of a class whose table has what config.json names: AutoModelForCausalLM of GPT2.

    The tables are those of `transformers.models.auto.modeling_auto`, by model type. Where several
    have the architecture they load the same class, so the first by name does.

    Args:
        folder: a model in transformers layout.

    Raises:
        UsageError: config.json names no architecture, or one that no auto class loads.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        model_type = config["model_type"]
        (architecture, *_) = config["architectures"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder}: its config.json names no architecture and model_type",
            hint="Save the model with its head: model.save_pretrained(folder).",
        ) from error
    import transformers
    from transformers.models.auto import modeling_auto

    found: list[str] = [
        name
        for name, candidate in vars(modeling_auto).items()
        if name.startswith("AutoModel")
        and hasattr(transformers, name)
        and architecture in _architectures(candidate, model_type)
    ]
    if not found:
        raise UsageError(
            f"{folder}: no auto class of transformers {transformers.__version__} loads a "
            f"{architecture} of model_type {model_type}",
            hint="Models whose code is not part of transformers cannot be timed in PyTorch.",
        )
    return min(found)


def _architectures(candidate: Any, model_type: object) -> tuple[str, ...]:
    """The names in an auto class's table: one, several, or none for a model type."""
    named = candidate._model_mapping._model_mapping.get(str(model_type), ())
    return (named,) if isinstance(named, str) else tuple(named)
