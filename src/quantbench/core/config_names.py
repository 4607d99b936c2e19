"""What is wrong with the names of a config: those of tasks, metrics, columns, swept parameters."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from quantbench.core.config import ONNX_SUFFIX, SWEEPABLE, FrameworkArgs, SweepConfig
from quantbench.core.config_problems import (
    shape_problems,
    shown,
    validation_problems,
)
from quantbench.core.errors import Problem, nearest_name
from quantbench.core.exporters import (
    EXPORTERS,
    MAX_OPSET,
    MIN_OPSET,
    Export,
    default_exporter,
    no_export_works,
)
from quantbench.core.printable import has_credentials
from quantbench.core.specs import Catalog

Json = dict[str, Any]

# More than can be measured in a month; a plan of that many is made in seconds.
MAX_ROWS = 10_000
# What says how a model is exported, and why it means nothing for an ONNX file that is given.
_OF_EXPORT = {
    "framework_args.opset": "the opset is that of the given ONNX file",
    "framework_args.exporter": "the model is given as an ONNX file: nothing is exported",
}


def name_problems(data: Json, catalog: Catalog) -> list[Problem]:
    """Names that only the catalog knows, and what depends on them."""
    problems = _credentials(data, "")
    problems += _known(data.get("backend"), "backend", catalog.backends)
    problems += _known(data.get("framework"), "framework", catalog.frameworks)
    problems += _aware_training(data.get("aware_training"), "aware_training")
    backend = catalog.backends.get(str(data.get("backend", "local")))
    backend_args = data.get("backend_args", {})
    if backend is not None and isinstance(backend_args, dict):
        problems += shape_problems(backend_args, backend.args, "backend_args")
    problems += _known(data.get("task"), "task", catalog.tasks)
    task = catalog.tasks.get(str(data.get("task")))
    if task is None:
        return problems
    task_args = data.get("task_args", {})
    found = shape_problems(task_args, task.args, "task_args") if isinstance(task_args, dict) else []
    problems += found
    # With arguments that are not valid nobody knows which metrics apply.
    has = task.metrics if found or not isinstance(task_args, dict) else task.metrics_with(task_args)
    names = [metric.name for metric in has]
    metrics = data.get("metrics")
    if isinstance(metrics, list):
        for n, metric in enumerate(metrics):
            problems += _known(metric, f"metrics[{n}]", names)
    dataset = data.get("dataset")
    if isinstance(dataset, dict):
        keys = dataset.get("data_keys")
        if isinstance(keys, dict):
            given = [str(key) for key in keys]
            path = "dataset.data_keys"
            takes = (*task.data_keys, *task.optional_data_keys)
            problems += [
                Problem(
                    f"{path}.{key}",
                    f"{task.name} has no such input",
                    allowed=", ".join(takes),
                    nearest=nearest_name(key, takes),
                )
                for key in given
                if key not in takes
            ]
            problems += [
                Problem(f"{path}.{key}", f"required by {task.name}: map it to a column")
                for key in task.data_keys
                if key not in given
            ]
        refs = dataset.get("ref_keys")
        if isinstance(refs, list) and refs and len(refs) != task.num_ref_keys:
            message = f"{task.name} takes {task.num_ref_keys} reference column(s)"
            problems.append(Problem("dataset.ref_keys", message, shown(refs)))
        static = data.get("quantization_approach") == "static" or "static" in _swept(
            data, "quantization_approach"
        )
        if static and dataset.get("calibration_split") is None:
            problems.append(
                Problem(
                    "dataset.calibration_split", "static quantization needs a split to calibrate on"
                )
            )
    return problems


def benchmarked_problems(data: Json, catalog: Catalog) -> list[Problem]:
    """Each swept value is checked as if it stood at its place."""
    swept = data.get("benchmarked")
    if not isinstance(swept, dict):
        return []
    too_many = _too_many_rows(swept)
    if too_many is not None:
        return [too_many]
    problems: list[Problem] = []
    for name, values in swept.items():
        path = f"benchmarked.{name}"
        if name not in SWEEPABLE:
            problems.append(
                Problem(
                    path,
                    _why_not_sweepable(name),
                    allowed=", ".join(SWEEPABLE),
                    nearest=nearest_name(name, SWEEPABLE),
                )
            )
            continue
        if name in _OF_EXPORT and _is_onnx_file(data):
            message = f"cannot be swept: {_OF_EXPORT[name]}"
            problems.append(Problem(path, message))
        if _is_set(data, name):
            problems.append(Problem(path, "is both fixed and swept: keep one of the two"))
        if not isinstance(values, list):
            continue  # told by the check of the types
        if not values:
            problems.append(Problem(path, "must not be empty", "[]"))
        adapter: TypeAdapter[Any] = TypeAdapter(_annotation(name))
        seen: set[str] = set()
        for n, value in enumerate(values):
            item = f"{path}[{n}]"
            validate = functools.partial(adapter.validate_json, strict=True)
            problems += validation_problems(validate, value, item)
            if name == "framework":
                problems += _known(value, item, catalog.frameworks)
            if name == "aware_training":
                problems += _aware_training(value, item)
            text = json.dumps(value)
            if text in seen:
                problems.append(Problem(item, "is in the list twice", shown(value)))
            seen.add(text)
    return problems


def export_problems(data: Json) -> list[Problem]:
    """Exporter and opset fit in no row at all. Where they fit in some, the others are refused.

    Values that are none of either are told by the check of the types.
    """
    opsets, exporters = (_values(data, name) for name in _OF_EXPORT)
    if _is_onnx_file(data):
        return []
    exports = [
        Export(opset=opset, exporter=exporter or default_exporter(opset))
        for opset in opsets
        if type(opset) is int and MIN_OPSET <= opset <= MAX_OPSET
        for exporter in exporters
        if exporter in (None, *EXPORTERS)
    ]
    reason = no_export_works(exports)
    name = "framework_args.exporter"
    path = f"benchmarked.{name}" if _swept(data, name) else name
    return [] if reason is None else [Problem(path, reason)]


def _values(data: Json, name: str) -> list[Any]:
    """The values that a parameter takes in the rows: swept, fixed, or its default."""
    swept = _swept(data, name)
    if swept or not _is_set(data, name):
        return swept or [FrameworkArgs.model_fields[name.rsplit(".", 1)[-1]].default]
    value: Any = data
    for part in name.split("."):
        value = value[part]
    return [value]


def _too_many_rows(swept: Json) -> Problem | None:
    """Said at once, before values are looked at one by one."""
    counts = {
        name: len(values)
        for name, values in swept.items()
        if name in SWEEPABLE and isinstance(values, list)
    }
    rows = math.prod(counts.values())
    if rows <= MAX_ROWS:
        return None
    factors = " × ".join(f"{count:,} of {name}" for name, count in counts.items() if count > 1)
    return Problem("benchmarked", f"makes {rows:,} rows: {factors}", allowed=f"{MAX_ROWS:,} rows")


def _credentials(value: Any, path: str) -> list[Problem]:
    """Addresses that name a user or password: they would be kept with the run, and published."""
    if isinstance(value, dict):
        places = [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    elif isinstance(value, list):
        places = [(f"{path}[{n}]", item) for n, item in enumerate(value)]
    else:
        message = (
            "an address must not hold a user, password or token: they would be kept with the run. "
            "Log in to the hub, or download the files and name them"
        )
        found = isinstance(value, str) and has_credentials(value)
        return [Problem(path, message, shown(value))] if found else []
    return [problem for place, item in places for problem in _credentials(item, place)]


def _is_onnx_file(data: Json) -> bool:
    model = data.get("model_name_or_path")
    return isinstance(model, str) and model.endswith(ONNX_SUFFIX)


def _why_not_sweepable(name: str) -> str:
    parts = [swept for swept in SWEEPABLE if swept.startswith(f"{name}.")]
    if parts:
        return f"sweep a part of it by its dotted name: {', '.join(parts)}"
    if _is_field(name):
        return "cannot be swept: it describes the whole run"
    return "unknown parameter"


def _aware_training(value: Any, path: str) -> list[Problem]:
    if value is not True:
        return []
    message = "quantization-aware training is not supported: quantbench quantizes trained models"
    return [Problem(path, message, "true", "false")]


def _known(value: Any, path: str, names: Iterable[str]) -> list[Problem]:
    names = list(names)
    if not isinstance(value, str) or value in names:
        return []
    kind = path.split("[")[0].rsplit(".", 1)[-1]
    message = f"unknown {kind.removesuffix('s')}"
    return [Problem(path, message, shown(value), ", ".join(names), nearest_name(value, names))]


def _field(name: str) -> FieldInfo | None:
    """The field of SweepConfig with that dotted name."""
    model: Any = SweepConfig
    field = None
    for part in name.split("."):
        fields: dict[str, FieldInfo] = getattr(model, "model_fields", {})
        field = fields.get(part)
        if field is None:
            return None
        model = field.annotation
    return field


def _is_field(name: str) -> bool:
    return _field(name) is not None


def _annotation(name: str) -> Any:
    """The field's type with its bounds."""
    field = _field(name)
    if field is None:
        raise KeyError(name)
    annotation: Any = field.annotation
    for constraint in field.metadata:
        annotation = Annotated[annotation, constraint]
    return annotation


def _is_set(data: Json, name: str) -> bool:
    value: Any = data
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def _swept(data: Json, name: str) -> list[Any]:
    swept = data.get("benchmarked")
    values = swept.get(name) if isinstance(swept, dict) else None
    return values if isinstance(values, list) else []
