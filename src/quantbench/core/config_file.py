"""Reading a config: YAML text in, a checked `SweepConfig` or all of its problems out."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from quantbench.core.config import SweepConfig
from quantbench.core.config_names import benchmarked_problems, name_problems
from quantbench.core.config_problems import shape_problems
from quantbench.core.errors import ConfigError, Problem
from quantbench.core.specs import Catalog

Json = dict[str, Any]

_RESOLVED = tuple(
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "merge", "null", "value")
)


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
    """YAML as plain JSON data.

    A key given twice is an error, as the first would be lost. Dates stay text. What JSON does not
    have is refused: keys that are no text, infinite numbers, sets, binary, data inside itself.

    Raises:
        ConfigError: the text is not such YAML; the message names line and column where known.
    """
    try:
        data = yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - a SafeLoader
        json.dumps(data, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        problem = Problem(where, f"not a valid config: {error.problem}")
        raise ConfigError(source, [problem]) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        problem = Problem("the file", f"not a valid config: {reason}")
        raise ConfigError(source, [problem]) from None
    return data


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


class _JsonLoader(yaml.SafeLoader):
    """SafeLoader for JSON data only, which refuses a mapping with the same key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if key_node.tag != "tag:yaml.org,2002:str":
                message = "a parameter's name must be text: put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
            if key_node.value in seen:
                message = f"{key_node.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, message, key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _refuse(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    kind = node.tag.rsplit(":", 1)[-1].lstrip("!")
    message = f"{kind} is not allowed here: use text, numbers, true, false, null, lists, mappings"
    raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)


# YAML 1.1 reads `2024-01-01` as a date: here it stays text.
_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _RESOLVED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in ("binary", "timestamp", "omap", "pairs", "set"):
    _JsonLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refuse)
