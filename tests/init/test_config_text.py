"""Entries become YAML that means the same, with comments that stay comments."""

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.core.config_file import load_yaml
from quantbench.starter.entries import Entry, to_fill_in
from quantbench.starter.text import to_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = SCALARS | st.lists(SCALARS | st.lists(SCALARS))
# YAML cannot hold half of a surrogate pair, and a key is no longer than 128 characters.
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def entries(draw: st.DrawFn, depth: int = 2) -> tuple[Entry, ...]:
    keys = draw(st.lists(KEYS, unique=True, min_size=1, max_size=4))
    return tuple(
        Entry(
            key,
            draw(VALUES),
            draw(st.text()),
            filled=draw(st.booleans()),
            block=draw(entries(depth - 1)) if depth and draw(st.booleans()) else (),
            above=tuple(draw(st.lists(st.text(), max_size=2))),
        )
        for key in keys
    )


def meant(given_entries: tuple[Entry, ...]) -> dict[str, Any]:
    """What the filled entries say."""
    values = {
        entry.key: meant(entry.block) if entry.block else entry.value for entry in given_entries
    }
    kept = {entry.key for entry in given_entries if entry.filled or entry.block}
    return {key: value for key, value in values.items() if key in kept and value != {}}


@settings(max_examples=50)
@given(entries())
def test_the_file_says_what_the_entries_say_whatever_the_comments_hold(
    made: tuple[Entry, ...],
) -> None:
    text = to_yaml(["a head\nof lines"], made)
    assert (load_yaml(text, "made") or {}) == meant(made)


def test_a_comment_stands_behind_its_line_or_above_it_if_that_is_too_long() -> None:
    text = to_yaml([], [Entry("a", 1, "short"), Entry("b", 2, "word " * 40)])
    assert text.splitlines()[0] == "a: 1  # short"
    assert text.splitlines()[-1] == "b: 2"
    assert all(len(line) <= 100 for line in text.splitlines())


def test_a_block_of_which_nothing_is_known_is_a_comment_as_a_whole() -> None:
    made = [Entry("top", block=(Entry("inner", block=(to_fill_in("x", "an x"),)),))]
    text = to_yaml([], made)
    assert text == "# top:\n#   inner:\n#     x: ...  # fill in: an x\n"
    assert yaml.safe_load(text.replace("# ", "", 1).replace("\n# ", "\n")) == {
        "top": {"inner": {"x": "..."}}
    }
