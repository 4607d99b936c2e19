"""The docstrings that MiniLM is fine-tuned on: what is read, what is hidden, how it is split."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from minilm import docstrings
from minilm.docstrings import Docstring, docstrings_of, find_docstrings, split_by_module
from quantbench.commands.config_files import read_config_file
from quantbench.core.plan import make_plan
from quantbench.registry import task

ROOT = Path(__file__).parents[2]

SOURCE = '''
"""A module that would fail if it were run."""
raise SystemExit
X = """not a docstring, only a value"""

class Message:
    """A message
       over two lines."""

    async def send(self):
        """Send it."""

        def helper():
            r"""Inside \\d another function."""

    def bare(self):
        return """not a docstring either"""
'''


def test_docstrings_are_those_of_modules_classes_and_functions() -> None:
    assert set(docstrings_of(SOURCE)) == {
        "A module that would fail if it were run.",
        "A message\nover two lines.",
        "Send it.",
        r"Inside \d another function.",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "Parse xml.dom trees,\n   with   XML inside",
            "Parse module.dom trees, with module inside",
        ),
        ("_pydecimal and the logging package", "_module and the module package"),
        ("an email_policy of emails", "an module_policy of emails"),
        ("XMLParser, osprey and subtkinter stay", "XMLParser, osprey and subtkinter stay"),
    ],
)
def test_names_of_modules_are_hidden_as_whole_words(text: str, shown: str) -> None:
    assert docstrings.without_names(text) == shown


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library in which each class has one module of one docstring, and mail a package as well."""
    for number, (name, *_) in enumerate(docstrings.TOPICS.values()):
        text = f'"""The only words of group {number}."""\n'
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "mailbox.py").write_text(
        '"""Too short."""\ndef f():\n  """Five words are enough here."""'
    )
    folder = tmp_path / "email" / "mime"
    folder.mkdir(parents=True)
    (folder / "audio.py").write_text('"""Sounds that are sent to somebody."""')
    (tmp_path / "email" / "test").mkdir()
    (tmp_path / "email" / "test" / "it.py").write_text('"""Tests are not what we look at."""')
    (tmp_path / "unknown.py").write_text('"""Of no class that is known here."""')
    return tmp_path


def test_all_files_of_a_class_are_read_but_tests(library: Path) -> None:
    found = [item for item in find_docstrings(library) if item.topic == "mail"]
    assert [(item.module, item.text) for item in found] == [
        ("email.py", f"The only words of group {list(docstrings.TOPICS).index('mail')}."),
        ("email/mime/audio.py", "Sounds that are sent to somebody."),
        ("mailbox.py", "Five words are enough here."),
    ]


def test_a_library_without_a_class_is_refused(library: Path) -> None:
    (library / "logging.py").unlink()
    with pytest.raises(ValueError, match="has no docstrings of logging"):
        find_docstrings(library)


def test_of_equal_texts_one_is_kept_and_none_that_two_classes_have() -> None:
    rows = [
        Docstring("a", "1.py", "Return the value of it."),
        Docstring("a", "2.py", "Return the value of it."),
        Docstring("a", "2.py", "Close whatever was open before."),
        Docstring("b", "3.py", "Close whatever was open before."),
    ]
    assert docstrings.without_repeats(rows) == rows[:1]


def rows_of(topic: str, *sizes: int) -> list[Docstring]:
    return [
        Docstring(topic, f"{topic}/{number}.py", f"{topic} {number} {n}")
        for number, size in enumerate(sizes)
        for n in range(size)
    ]


def test_no_file_is_in_both_splits_and_validation_stays_within_its_share() -> None:
    rows = rows_of("a", 10, 5, 5, 3, 2, 2, 1) + rows_of("b", 40, 30, 20, 10)
    for seed in range(20):
        train, validation = split_by_module(rows, 0.3, seed)
        assert sorted(map(str, train + validation)) == sorted(map(str, rows))
        assert not {row.module for row in train} & {row.module for row in validation}
        counts = Counter(row.topic for row in validation)
        assert 0 < counts["a"] <= 0.3 * 28
        assert 0 < counts["b"] <= 0.3 * 100


def test_a_split_follows_from_its_seed() -> None:
    rows = rows_of("a", 3, 3, 3, 3, 3, 3, 3, 3)
    splits = [split_by_module(rows, 0.3, seed) for seed in (0, 0, 1, 2, 3)]
    assert splits[0] == splits[1]
    assert any(split != splits[0] for split in splits[2:])


def test_the_smallest_file_is_taken_where_all_are_too_large() -> None:
    _, validation = split_by_module(rows_of("a", 6, 5), 0.3, 0)
    assert {row.module for row in validation} == {"a/1.py"}


def test_a_class_in_a_single_file_cannot_be_split() -> None:
    with pytest.raises(ValueError, match=r"a/0\.py: no split"):
        split_by_module(rows_of("a", 6), 0.3, 0)


def test_names_of_groups_do_not_overlap() -> None:
    names = list(itertools.chain.from_iterable(docstrings.TOPICS.values()))
    assert len(names) == len(set(names))


def test_the_example_has_every_kind_of_quantization_on_these_files() -> None:
    config, _ = read_config_file(ROOT / "examples" / "minilm-docstrings.yaml")
    plan = make_plan(config, task(config.task).spec)
    assert len(plan.rows) == 24
    files = [variant.quantization.approach for variant in plan.variants]
    assert Counter(files) == {"static": 8, "dynamic": 2, "weight_only": 1, "float32": 1}
    assert config.max_eval_samples is None
