"""The JSON Schema of a config, so that editors complete and check it."""

from __future__ import annotations

from typing import Any

from quantbench.core.config import SWEEPABLE, SweepConfig
from quantbench.core.specs import Catalog

Json = dict[str, Any]


def schema(catalog: Catalog) -> Json:
    """The JSON Schema of a config file, for editors.

    `benchmarked` lists what can be swept, each with the schema of its values.
    """
    result = SweepConfig.model_json_schema()
    properties = result["properties"]
    properties["task"]["enum"] = list(catalog.tasks)
    properties["backend"]["enum"] = list(catalog.backends)
    properties["framework"]["enum"] = list(catalog.frameworks)
    properties["aware_training"]["const"] = False
    definitions = result["$defs"]
    swept: Json = {}
    for name in SWEEPABLE:
        value = result
        for part in name.split("."):
            value = value["properties"][part]
            if "$ref" in value:
                value = definitions[value["$ref"].rsplit("/", 1)[1]]
        inner = {key: item for key, item in value.items() if key != "default"}
        swept[name] = {"type": "array", "items": inner, "minItems": 1}
    properties["benchmarked"] = {
        "description": properties["benchmarked"]["description"],
        "type": "object",
        "properties": swept,
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "quantbench sweep",
        **{key: item for key, item in result.items() if key != "title"},
    }
