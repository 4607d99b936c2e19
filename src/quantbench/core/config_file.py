"""Reading a config: YAML text in, a checked `SweepConfig` or all of its problems out."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from quantbench.core.config import SweepConfig
from quantbench.core.config_calibration import calibration_problems
from quantbench.core.config_names import benchmarked_problems, export_problems, name_problems
from quantbench.core.config_problems import shape_problems
from quantbench.core.errors import ConfigError, Problem
from quantbench.core.printable import shortened
from quantbench.core.specs import Catalog

Json = dict[str, Any]

_TAG = "tag:yaml.org,2002:"
_RESOLVED = tuple(f"{_TAG}{kind}" for kind in ("bool", "int", "float", "merge", "null", "value"))
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
}
# Far more than any grid needs, and read in a second.
_MOST_CHARACTERS = 200_000


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
    have is refused: keys that are no text, infinite numbers, sets, binary, aliases.

    Raises:
        ConfigError: the text is not such YAML; the message names line and column where known.
    """
    if len(text) > _MOST_CHARACTERS:
        message = f"has {len(text):,} characters: a config has at most {_MOST_CHARACTERS:,}"
        raise ConfigError(source, [Problem("the file", message)])
    try:
        data = yaml.load(text, Loader=_JsonLoader)  # noqa: S506 - a SafeLoader
        json.dumps(data, allow_nan=False)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        problem = Problem(where, f"not a valid config: {shortened(str(error.problem), 400)}")
        raise ConfigError(source, [problem]) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        is_deep = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if is_deep else shortened(str(error), 400)
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
        *export_problems(data),
        *calibration_problems(data),
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
    """SafeLoader for JSON data only, which refuses a mapping with the same key twice.

    Aliases are refused: a few lines of them can stand for more data than any memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event: yaml.AliasEvent = self.peek_event()  # type: ignore[no-untyped-call]
            raise _error(f"*{event.anchor} is not allowed here: write its value again", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            if key_node.tag != f"{_TAG}str" or not isinstance(key_node, yaml.ScalarNode):
                raise _error("a parameter's name must be text: put it in quotes", key_node)
            if key_node.value in seen:
                raise _error(f"{shortened(repr(key_node.value))} is given twice", key_node)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep=deep)
        try:
            value = super().construct_object(node, deep=deep)
            json.dumps(value, allow_nan=False)  # what JSON does not have
            str(value).encode()  # halves of characters
        # PyYAML raises all of these for a text that does not fit its tag.
        except (ValueError, LookupError, OverflowError, TypeError) as error:
            kind = node.tag.rsplit(":", 1)[-1]
            message = f"{shortened(repr(node.value))} cannot be read as {_KINDS.get(kind, kind)}"
            why = f": {error}" if isinstance(error, ValueError) else ""
            raise _error(message + why, node) from None
        return value


def _error(message: str, place: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    mark: Any = place.start_mark
    return yaml.constructor.ConstructorError(None, None, message, mark)


def _refuse(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    kind = node.tag.rsplit(":", 1)[-1].lstrip("!")
    message = f"{kind} is not allowed here: use text, numbers, true, false, null, lists, mappings"
    raise _error(message, node)


# YAML 1.1 reads `2024-01-01` as a date: here it stays text.
_JsonLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _RESOLVED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in ("binary", "timestamp", "omap", "pairs", "set"):
    _JsonLoader.add_constructor(f"{_TAG}{_kind}", _refuse)
