"""Entities from the tags of a sentence, as seqeval finds them: leniently, or strictly by a scheme.

Sources: `get_entities` of seqeval 1.2.2, which follows conlleval.pl (CoNLL-2000), and its
`scheme.Tokens`. docs/decisions/0070-entities.md says why they are written here again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU"]
# Type, first word, last word.
Entity = tuple[str, int, int]

OUTSIDE = "O"


def find_entities(tags: Sequence[str], scheme: Scheme | None = None) -> frozenset[Entity]:
    """The entities of one sentence.

    Without a scheme any tags are read as well as they can be: an `I-` after `O` begins an entity,
    another type ends one. With a scheme only what it allows is an entity.

    Args:
        tags: one per word, such as `B-PER`; a type may have hyphens in it.
        scheme: what the tags must follow; None for seqeval's default mode.

    Raises:
        ValueError: a tag begins with a letter that the scheme does not have.
    """
    if scheme is None:
        return _lenient(tags)
    strange = strange_tags(tags, scheme)
    if strange:
        raise ValueError(f"{strange[0]!r} is no tag of {scheme}")
    return _strict(tags, _SCHEMES[scheme])


def strange_tags(names: Sequence[str], scheme: Scheme | None) -> tuple[str, ...]:
    """Those names that are no tags: by their first letter if there is a scheme.

    Without one, those that are neither `O` nor `B`, `I`, `E` or `S`, with a type or without:
    seqeval reads them too, but warns.
    """
    if scheme is not None:
        return tuple(name for name in names if name[:1] not in tuple(_SCHEMES[scheme].letters))
    return tuple(
        name
        for name in names
        if name not in _BARE_TAGS and not name.startswith(("B-", "I-", "E-", "S-"))
    )


def letters(scheme: Scheme) -> tuple[str, ...]:
    """What the tags of a scheme may begin with."""
    return tuple(_SCHEMES[scheme].letters)


_BARE_TAGS = ("O", "B", "I", "E", "S")


def _lenient(tags: Sequence[str]) -> frozenset[Entity]:
    found: list[Entity] = []
    before, before_type, begin = OUTSIDE, "", 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        letter, kind = tag[:1], tag[1:].split("-", maxsplit=1)[-1] or "_"
        another = kind != before_type
        if (
            before in ("E", "S")
            or (before in ("B", "I") and letter in ("B", "S", "O"))
            or (before not in ("O", ".") and another)
        ):
            found.append((before_type, begin, place - 1))
        if (
            letter in ("B", "S")
            or (before in ("E", "S", "O") and letter in ("E", "I"))
            or (letter not in ("O", ".") and another)
        ):
            begin = place
        before, before_type = letter, kind
    return frozenset(found)


@dataclass(frozen=True)
class _Rules:
    """A scheme. A pattern is the letter before, the letter, and whether the type is the same.

    `*` is any letter; `=` the same type, `!` another, nothing either.
    """

    letters: str
    starts: frozenset[str]
    goes_on: frozenset[str]
    ends: frozenset[str]


def _rules(letters: str, starts: str, goes_on: str, ends: str) -> _Rules:
    patterns = (frozenset(text.split()) for text in (starts, goes_on, ends))
    return _Rules(letters, *patterns)


# The tables of seqeval.scheme, pattern by pattern. IOE1 is as incomplete there.
_SCHEMES: Mapping[Scheme, _Rules] = {
    "IOB1": _rules(
        "IOB",
        starts="OI II! BI IB= BB=",
        goes_on="BI= II=",
        ends="II! IO IB BO BI! BB=",
    ),
    "IOE1": _rules(
        "IOE",
        starts="OI II! EI EE=",
        goes_on="II= IE=",
        ends="II! IO IE! EI= EE=",
    ),
    "IOB2": _rules(
        "IOB",
        starts="*B",
        goes_on="BI= II=",
        ends="IO II! IB BO BI! BB",
    ),
    "IOE2": _rules(
        "IOE",
        starts="OI OE EI EE II! IE!",
        goes_on="IE= II=",
        ends="E*",
    ),
    "IOBES": _rules(
        "IOBES",
        starts="*B *S",
        goes_on="BI= BE= II= IE=",
        ends="S* E*",
    ),
    "BILOU": _rules(
        "BILOU",
        starts="*B *U",
        goes_on="BI= BL= II= IL=",
        ends="U* L*",
    ),
}

# Letter and type.
_Tag = tuple[str, str]


def _strict(tags: Sequence[str], rules: _Rules) -> frozenset[Entity]:
    outside: _Tag = (OUTSIDE, "_")
    read = [*((tag[0], tag[1:].strip("-") or "_") for tag in tags), outside]
    found: list[Entity] = []
    place, before = 0, outside
    while place < len(read):
        after = place + 1
        if _matches(rules.starts, before, read[place]):
            # The last tag is outside, which no entity goes on with.
            while _matches(rules.goes_on, read[after - 1], read[after]):
                after += 1
            if _matches(rules.ends, read[after - 1], read[after]):
                found.append((read[place][1], place, after - 1))
        place, before = after, read[after - 1]
    return frozenset(found)


def _matches(patterns: frozenset[str], before: _Tag, tag: _Tag) -> bool:
    types = "=" if before[1] == tag[1] else "!"
    return any(
        first + second + condition in patterns
        for first in (before[0], "*")
        for second in (tag[0], "*")
        for condition in ("", types)
    )
