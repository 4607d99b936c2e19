"""Data as nobody sane would write it, and ways to change sane data into such."""

from __future__ import annotations

import contextlib
import copy
import datetime
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from quantbench import cli

Location = tuple[str | int, ...]
Change = tuple[str, int, Any]
Tree = dict[str, tuple[int, str]]

# Characters that mean something to a terminal, to YAML, to Markdown, or to nobody.
ODD_TEXT = (
    "", " ", "\0", "\x1b[31m", "\x9b31m", "\r\n", "\t", "\ufeff", "\u202e", "\u2028", "\ud800",
    "../../x", "/etc/passwd", "~", "-", "=", "<<", "*a", "&a", "!!int", "%s", "{}", "[", "null",
    "<script>alert(1)</script>", "a|b", "```", "x" * 5000, "999999999999999999999", "1:30", "1e5",
    ".nan", "yes", "0x", "é", "🙂",
)  # fmt: skip
ODD_NUMBERS = (
    0, -1, 1, 2, 99, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 0.0, -0.0, 0.5, 1e-320, 1e308,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
# Right somewhere: put in another place they get further than nonsense does.
KNOWN_VALUES = (
    "static", "dynamic", "MatMul", "Add", "layernorm", "onnxruntime", "pytorch", "local", "minmax",
    "percentile", "entropy", "head", "question-answering", "image-classification", "train", 11, 12,
    13, 17, 20, ["MatMul"], [["MatMul"], ["Add"]], [False, True], [11, 17], {"a": "b"}, "m.onnx",
)  # fmt: skip
KNOWN_KEYS = (
    "task", "benchmarked", "calibration.method", "calibration.num_calibration_samples",
    "framework_args.opset", "framework_args.optimization_level", "framework", "per_channel",
    "aware_training", "dataset", "metrics", "seed", "num_threads", "backend_args", "task_args",
    "input_lengths", "max_eval_samples", "schema_version", "outcome", "id",
)  # fmt: skip


def _nested(depth: int) -> Any:
    value: Any = 1
    for n in range(depth):
        value = [value] if n % 2 else {"a": value}
    return value


any_text = st.one_of(
    st.sampled_from(ODD_TEXT), st.text(st.characters(), max_size=12), st.sampled_from(KNOWN_KEYS)
)
json_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(ODD_NUMBERS),
    st.integers(),
    st.floats(),
    any_text,
    st.sampled_from(KNOWN_VALUES),
)
json_values = st.one_of(
    json_leaves,
    st.recursive(
        json_leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(any_text, inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.sampled_from([_nested(40), _nested(90), [1] * 300]),
)
yaml_values = st.one_of(
    json_values,
    st.dates(),
    st.datetimes(),
    st.just(datetime.date(2024, 1, 1)),
    st.binary(max_size=4),
    st.sets(st.integers(0, 3)),
    st.dictionaries(st.one_of(st.integers(), st.booleans(), st.none()), st.none(), max_size=2),
)

KINDS = ("replace", "replace", "delete", "double", "rename", "wrap", "insert", "move")


def changes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Change]]:
    """One to three changes: what is done, where (a number that is taken modulo), and a value."""
    one = st.tuples(st.sampled_from(KINDS), st.integers(0, 5000), values)
    return st.lists(one, min_size=1, max_size=3)


def locations(data: Any, prefix: Location = ()) -> Iterator[Location]:
    """Every place in nested data, the outermost first."""
    items: Any = ()
    if isinstance(data, dict):
        items = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    for key, value in items:
        yield (*prefix, key)
        yield from locations(value, (*prefix, key))


def changed(data: Any, wanted: list[Change]) -> Any:
    """A copy of nested data with the changes made."""
    root = {"root": copy.deepcopy(data)}
    for kind, number, value in wanted:
        places = list(locations(root))
        place = places[number % len(places)]
        parent: Any = root
        for key in place[:-1]:
            parent = parent[key]
        _change(parent, place[-1], kind, copy.deepcopy(value), root, number)
        if "root" not in root:
            return value
    return root["root"]


def _change(parent: Any, key: Any, kind: str, value: Any, root: Any, number: int) -> None:
    old = parent[key]
    match kind:
        case "delete":
            del parent[key]
        case "double" if isinstance(parent, list):
            parent.insert(key, copy.deepcopy(old))
        case "rename" if isinstance(parent, dict):
            del parent[key]
            parent[value if isinstance(value, str) else f"{key}_"] = old
        case "wrap":
            parent[key] = [old]
        case "insert" if isinstance(old, list):
            old.insert(number % (len(old) + 1), value)
        case "insert" if isinstance(old, dict):
            old[KNOWN_KEYS[number % len(KNOWN_KEYS)]] = value
        case "move":
            places = list(locations(root))
            found: Any = root
            for part in places[(number * 7) % len(places)]:
                found = found[part]
            parent[key] = copy.deepcopy(found)
        case _:
            parent[key] = value


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def command(*arguments: str) -> Said:
    """Run the command line in this process, with streams that treat text as the real ones do."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(arguments)
    found = []
    for stream in (out, err):
        stream.flush()
        found.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return Said(code, found[0], found[1])


def tree(root: Path, without: Path | None = None) -> Tree:
    """Every file below a folder: its kind and content (of a link: where it points)."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        if without is not None and Path(folder) == without:
            folders.clear()
            continue
        for name in (*folders, *files):
            path = Path(folder) / name
            if path == without:
                continue
            mode = path.lstat().st_mode
            if path.is_symlink():
                content = str(path.readlink())
            elif stat.S_ISREG(mode):
                content = path.read_bytes().hex()
            else:
                content = ""
            found[str(path.relative_to(root))] = (stat.S_IFMT(mode), content)
    return found


def control_characters(text: str) -> set[str]:
    """Characters that a terminal acts on, other than line ends and tabs."""
    return {
        character
        for character in text
        if (ord(character) < 0x20 and character not in "\n\t") or 0x7F <= ord(character) < 0xA0
    }
