"""What is wrong with the calibration of a config: parameters that no method of it reads."""

from __future__ import annotations

from typing import Any

from quantbench.core.calibration import METHOD_DEFAULTS, METHOD_FIELDS, methods_with
from quantbench.core.config_problems import shown
from quantbench.core.errors import Problem

Json = dict[str, Any]


def calibration_problems(data: Json) -> list[Problem]:
    """A parameter of a method that no row uses, fixed or swept.

    Where the method is swept and some of its values read the parameter, it is no problem: the
    plan marks it inert in the rows of the others.
    """
    given, swept = data.get("calibration", {}), data.get("benchmarked", {})
    if not isinstance(given, dict) or not isinstance(swept, dict):
        return []
    methods = swept.get("calibration.method", [given.get("method", "minmax")])
    if not isinstance(methods, list) or not all(str(name) in METHOD_DEFAULTS for name in methods):
        return []  # told by the check of the types
    problems: list[Problem] = []
    for name in METHOD_FIELDS:
        owners = methods_with(name)
        if not set(owners).isdisjoint(methods):
            continue
        message = (
            f"does nothing with method {', '.join(methods)}: it belongs to {', '.join(owners)}"
        )
        if given.get(name) is not None:
            problems.append(Problem(f"calibration.{name}", message, shown(given[name])))
        if f"calibration.{name}" in swept:
            values = shown(swept[f"calibration.{name}"])
            problems.append(Problem(f"benchmarked.calibration.{name}", message, values))
    return problems
