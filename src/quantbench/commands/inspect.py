"""`quantbench inspect`: what is in an ONNX file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from quantbench.commands.onnx_files import check_is_file
from quantbench.core.errors import EXIT_OK, UsageError


def print_model(path: Path, depth: int, as_json: bool) -> int:
    """`quantbench inspect`: the modules of an ONNX file, and what is quantized in them."""
    from quantbench.data import onnx_parts
    from quantbench.graph.inspect import inspect_model
    from quantbench.reports.inspect import print_inspection

    if depth < 1:
        raise UsageError(f"--depth {depth}: must be 1 or more")
    check_is_file(path)
    model = onnx_parts.load(path)
    num_bytes = onnx_parts.check_files(path, model)
    external = onnx_parts.external_files(model)
    onnx_parts.take_in_numbers(path, model)
    try:
        found = inspect_model(model, str(path), num_bytes, external)
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    except (IndexError, TypeError) as error:
        raise UsageError(
            f"{path} is damaged: a node has fewer, or more, inputs or outputs than its operator"
        ) from error
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=1))
    else:
        print_inspection(found, depth, sys.stdout)
    return EXIT_OK
