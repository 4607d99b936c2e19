"""Reading a config: YAML text in, a checked `SweepConfig` or all of its problems out."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any, cast

import yaml

from quantbench.core.config import SweepConfig
from quantbench.core.config_names import benchmarked_problems, name_problems
from quantbench.core.config_problems import shape_problems
from quantbench.core.errors import ConfigError, Problem
from quantbench.core.specs import Catalog

Json = dict[str, Any]


def read_config(text: str, source: str, catalog: Catalog) -> SweepConfig:
    """Check the text of a config file.

    Args:
        text: YAML.
        source: the file's name, for messages.
        catalog: the tasks, backends and frameworks that exist.

    Raises:
        ConfigError: with every problem of the config, in the order of the file.
    """
    return check_config(load_yaml(text, source), source, catalog)


def load_yaml(text: str, source: str) -> Any:
    """YAML as plain data; a key given twice is an error, as the first would be lost.

    Raises:
        ConfigError: the text is not YAML; the message names line and column.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        problem = Problem(where, f"not valid YAML: {error.problem}")
        raise ConfigError(source, [problem]) from None
    except yaml.YAMLError as error:
        raise ConfigError(source, [Problem("the file", f"not valid YAML: {error}")]) from None


def check_config(raw: Any, source: str, catalog: Catalog) -> SweepConfig:
    """Check plain data as a config.

    Raises:
        ConfigError: with every problem of the config, in the order of the data.
    """
    if not isinstance(raw, dict):
        problem = Problem("the file", "a config is a mapping from parameter to value")
        raise ConfigError(source, [problem])
    data = raw
    problems = [
        *shape_problems(data, SweepConfig, ""),
        *name_problems(data, catalog),
        *benchmarked_problems(data, catalog),
    ]
    if problems:
        order = {name: n for n, name in enumerate(data)}
        first = {name: len(order) for name in SweepConfig.model_fields}
        position = first | order
        problems.sort(key=lambda p: position.get(p.path.split(".")[0].split("[")[0], len(order)))
        raise ConfigError(source, problems)
    return SweepConfig.model_validate_json(json.dumps(data))


def with_values(data: Json, values: Mapping[str, Any]) -> Json:
    """A copy of plain config data with dotted parameters set."""
    copy: Json = json.loads(json.dumps(data))
    for name, value in values.items():
        target = copy
        *parents, last = name.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return copy


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a mapping with the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = cast(Hashable, self.construct_object(key_node, deep=True))
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
