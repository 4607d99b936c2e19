"""Docstrings of Python's standard library, by what the module is for.

The classes are groups of modules, as the Library Reference groups them. A class can be read from
the names of its modules (`xml.dom`, "the logging package"), so each of these names is replaced by
the word "module" in every text, whatever its class.

All docstrings of a file are either in the training or in the validation split: a model is asked
about modules that it has never read. Of equal texts one is kept, or none if their classes differ.
"""

from __future__ import annotations

import ast
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Top-level modules and packages of each class. Not all versions of Python have all of them.
TOPICS: dict[str, tuple[str, ...]] = {
    "asyncio": ("asyncio",),
    "files": (
        "tarfile", "zipfile", "shutil", "pathlib", "tempfile", "gzip", "bz2", "lzma", "glob",
        "fnmatch", "filecmp", "fileinput", "genericpath", "ntpath", "posixpath", "os", "stat",
        "_pyio", "_compression",
    ),
    "gui": ("tkinter", "turtle", "turtledemo"),
    "importing": (
        "importlib", "pkgutil", "zipimport", "runpy", "modulefinder", "ensurepip", "venv", "site",
    ),
    "inspection": (
        "ast", "bdb", "pdb", "inspect", "dis", "traceback", "symtable", "tokenize", "pydoc",
        "code", "codeop", "trace", "profile", "cProfile", "pstats", "linecache", "rlcompleter",
        "pyclbr", "tracemalloc",
    ),
    "logging": ("logging",),
    "mail": ("email", "mailbox", "smtplib", "imaplib", "poplib", "nntplib"),
    "markup": ("xml", "html"),
    "numbers": (
        "datetime", "_pydatetime", "decimal", "_pydecimal", "fractions", "statistics", "numbers",
        "random", "calendar", "zoneinfo", "_strptime", "colorsys",
    ),
    "processes": (
        "multiprocessing", "concurrent", "threading", "queue", "subprocess", "sched", "selectors",
        "signal",
    ),
    "testing": ("unittest", "doctest"),
    "web": ("http", "urllib", "xmlrpc", "wsgiref", "cgi", "ftplib", "socketserver", "webbrowser"),
}  # fmt: skip

MIN_WORDS = 5
STAND_IN = "module"
TEST_FOLDERS = {"test", "tests"}

_NAMES = sorted({name.strip("_") for names in TOPICS.values() for name in names})
_NAMED = re.compile(rf"(?<![^\W_])(?:{'|'.join(_NAMES)})(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True)
class Docstring:
    """A docstring: its class, the file that it is from (relative to the library), its text."""

    topic: str
    module: str
    text: str


def without_names(text: str) -> str:
    """A text on one line, the names of all modules of `TOPICS` replaced."""
    return _NAMED.sub(STAND_IN, " ".join(text.split()))


def docstrings_of(source: str | bytes) -> Iterator[str]:
    """The docstrings of a module, its classes and its functions; nothing of it is run.

    Raises:
        SyntaxError: the source is not Python.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def files_of(library: Path, names: Sequence[str]) -> Iterator[Path]:
    """The Python files of top-level modules and packages, without tests, sorted."""
    for name in sorted(names):
        found = [library / f"{name}.py", *sorted((library / name).rglob("*.py"))]
        for path in found:
            folders = path.relative_to(library).parts[:-1]
            if path.is_file() and not TEST_FOLDERS.intersection(folders):
                yield path


def find_docstrings(library: Path) -> list[Docstring]:
    """All docstrings of `TOPICS` with at least `MIN_WORDS` words, names replaced, each text once.

    Args:
        library: the folder of a Python's standard library.

    Raises:
        ValueError: a class has no docstring at all.
    """
    found: list[Docstring] = []
    for topic, names in TOPICS.items():
        for path in files_of(library, names):
            module = path.relative_to(library).as_posix()
            texts = map(without_names, docstrings_of(path.read_bytes()))
            found += [
                Docstring(topic, module, text) for text in texts if len(text.split()) >= MIN_WORDS
            ]
    kept = without_repeats(found)
    missing = sorted(TOPICS.keys() - {item.topic for item in kept})
    if missing:
        raise ValueError(f"{library} has no docstrings of {', '.join(missing)}")
    return kept


def without_repeats(found: Sequence[Docstring]) -> list[Docstring]:
    """The first of equal texts; none of them if their classes differ."""
    topics: dict[str, set[str]] = defaultdict(set)
    for item in found:
        topics[item.text].add(item.topic)
    first = {item.text: item for item in reversed(found)}
    return [item for item in found if first[item.text] is item and len(topics[item.text]) == 1]


def split_by_module(
    found: Sequence[Docstring], share: float, seed: int
) -> tuple[list[Docstring], list[Docstring]]:
    """Train and validation, no file in both.

    Of each class files are taken in a random order for validation, as long as they stay within
    the share; one at least, the smallest if all are too large.

    Args:
        found: the docstrings.
        share: of the docstrings of a class, the most that are for validation.
        seed: of the order.

    Raises:
        ValueError: a class is in a single file.
    """
    held_out: set[str] = set()
    for topic in sorted({item.topic for item in found}):
        sizes = Counter(item.module for item in found if item.topic == topic)
        if len(sizes) < 2:
            raise ValueError(f"all docstrings of {topic} are in {next(iter(sizes))}: no split")
        order = sorted(sizes)
        random.Random(f"{seed} {topic}").shuffle(order)  # noqa: S311 (nothing secret)
        left, taken = int(share * sizes.total()), list[str]()
        for module in order:
            if sizes[module] <= left:
                taken.append(module)
                left -= sizes[module]
        held_out |= set(taken or [min(order, key=lambda module: sizes[module])])
    train = [item for item in found if item.module not in held_out]
    return train, [item for item in found if item.module in held_out]
