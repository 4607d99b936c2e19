"""The YAML at the top of a published card, from which collapsing took the line breaks."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from quantbench.cards.scan import FAMILY, Scanner
from quantbench.core.printable import printable

KEYS = ("pipeline_tag", "datasets", "metrics", "tags")
# Keys of the cards that quantbench writes of its own runs.
_OWN_FORM = frozenset({"library_name", "base_model", "base_model_relation", "model-index"})
_KEY = re.compile(r"([A-Za-z][\w-]{0,60}):(?=\s|$)")
_EMPTY = re.compile(r"\[\]")
_LONGEST_ITEM = 1_000


@dataclass(frozen=True)
class FrontMatter:
    """What is at the top of a card; `offsets` says where each key stands in its text."""

    pipeline_tag: str
    datasets: tuple[str, ...]
    metrics: tuple[str, ...]
    tags: tuple[str, ...]
    offsets: dict[str, int]


def read_front_matter(scanner: Scanner) -> FrontMatter:
    """Take the front matter. Raises UsageError, with the place, if there is another one or none."""
    if not scanner.has("---"):
        scanner.fail("this is no card of this family: it does not begin with `---`", hint=FAMILY)
    scanner.take("---")
    found: dict[str, tuple[str, ...]] = {}
    offsets: dict[str, int] = {}
    while not scanner.has("---"):
        start = scanner.skip()
        key = _key(scanner)
        if key in found:
            scanner.fail(f"`{key}` is there twice", start)
        offsets[key] = start
        found[key] = _items(scanner, key) if key != "pipeline_tag" else (_item(scanner, key),)
    scanner.take("---")
    missing = [key for key in KEYS if key not in found]
    if missing:
        scanner.fail(f"the front matter has no `{missing[0]}`", 0, FAMILY)
    (pipeline_tag,) = found.pop("pipeline_tag")
    if len(found["tags"]) > 1:
        scanner.fail("more than one tag: a published card has the model type only", offsets["tags"])
    return FrontMatter(pipeline_tag=pipeline_tag, **found, offsets=offsets)


def _key(scanner: Scanner) -> str:
    start = scanner.skip()
    key = scanner.match(_KEY)
    if key is None:
        scanner.fail_expected("a key of the front matter")
    if key[1] in _OWN_FORM:
        scanner.fail(
            f"`{key[1]}`: this card has the form that quantbench gives to its own results",
            start,
            "Only the published form is read here. The numbers of this card are in its run's "
            "folder (results/, table.parquet); that of an imported card has published.md too.",
        )
    if key[1] not in KEYS:
        allowed = f"Allowed: {', '.join(KEYS)}."
        scanner.fail(f"`{key[1]}` is no key of a published card of this family", start, allowed)
    return key[1]


def _items(scanner: Scanner, key: str) -> tuple[str, ...]:
    if scanner.match(_EMPTY) is not None:
        return ()
    items: list[str] = []
    while scanner.has("-") and not scanner.has("---"):
        scanner.take("-")
        items.append(_item(scanner, key))
    if not items:
        scanner.fail_expected(f"an item of `{key}`, which begins with `-`")
    return tuple(items)


def _item(scanner: Scanner, key: str) -> str:
    """A scalar: all words up to the next item or key."""
    start = scanner.skip()
    words = [scanner.word(f"a value of `{key}`")]
    while not (scanner.is_at_end() or scanner.has("-") or _KEY.match(scanner.text, scanner.at)):
        words.append(scanner.word(""))
        if sum(map(len, words)) > _LONGEST_ITEM:
            scanner.fail(f"a value of `{key}` is longer than {_LONGEST_ITEM:,} characters", start)
    written = " ".join(words)
    if written[0] not in "'\"":
        return written
    try:
        found = yaml.safe_load(written)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, str) or printable(found) != found:
        scanner.fail(f"a value of `{key}` has quotation marks that do not fit", start)
    return found
