"""Generated reading-comprehension rows in the SQuAD format.

A passage states several facts about several subjects; a question asks for one slot of one fact.
What can be said and asked is written in `facts.toml`.

The validation split shares neither names nor wording with the training split:

- every invented word or phrase (people, towns, companies, ships, products, ...) belongs to one
  split only, decided by a checksum of the word;
- sentences and questions come from the `held_out` lists of `facts.toml`.

Common nouns (professions, fields of study, cargoes), dates and numbers are shared.
"""

from __future__ import annotations

import itertools
import random
import re
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Length = Literal["short", "usual", "long"]
Variants = tuple[str, ...]  # one template with all its alternatives written out

# The shares of the lengths in data that is kept.
LENGTHS: dict[Length, float] = {"usual": 0.94, "long": 0.06}


@dataclass(frozen=True)
class Pools:
    """The wording of one split."""

    sentences: tuple[Variants, ...]
    questions: dict[str, tuple[Variants, ...]]


@dataclass(frozen=True)
class FactKind:
    """Something that can be said about a kind of subject, in the wording of both splits."""

    name: str
    subject: str
    slots: dict[str, str]
    train: Pools
    held_out: Pools


@dataclass(frozen=True)
class Value:
    """A drawn value; `accepted` lists the texts that answer, the preferred one first."""

    text: str
    accepted: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """Who or what a passage is about."""

    kind: str
    name: str
    short: str
    pronouns: tuple[str, str, str] | None  # she, her (possessive), her (object)


@dataclass(frozen=True)
class Span:
    """A text and where it starts."""

    start: int
    text: str


class Hint(NamedTuple):
    """A value in a passage: where it is, what it is, whether the question is about its fact."""

    start: int
    end: int
    slot: str
    relevant: bool


@dataclass(frozen=True)
class StatedFact:
    """A fact as a passage states it."""

    kind: FactKind
    subject: Subject
    values: dict[str, Value]
    answers: dict[str, tuple[Span, ...]]  # by slot, positions in the passage


@dataclass(frozen=True)
class Passage:
    """A text and the facts in it."""

    title: str
    text: str
    facts: tuple[StatedFact, ...]


# --- wording ---------------------------------------------------------------------------------


def expand(template: str) -> Variants:
    """Write out the alternatives: "[a|b] c" gives "a c" and "b c"."""
    parts = re.split(r"\[([^\[\]]*)\]", template)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    texts = ("".join(combination) for combination in itertools.product(*choices))
    return tuple(re.sub(r" +", " ", text).replace(" ?", "?").strip() for text in texts)


def load_facts(path: Path) -> tuple[tuple[FactKind, ...], dict[bool, tuple[Variants, ...]]]:
    """Read `facts.toml`; returns the fact kinds, and the filler sentences by `held_out`."""
    content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))

    def pools(sentences: list[str], questions: dict[str, list[str]]) -> Pools:
        return Pools(
            tuple(expand(s) for s in sentences),
            {slot: tuple(expand(q) for q in texts) for slot, texts in questions.items()},
        )

    kinds = tuple(
        FactKind(
            name=fact["name"],
            subject=fact["subject"],
            slots=fact["slots"],
            train=pools(fact["sentences"], fact["questions"]),
            held_out=pools(fact["held_out"], fact["held_out_questions"]),
        )
        for fact in content["fact"]
    )
    train, held_out = content["filler"]["sentences"], content["filler"]["held_out"]
    return kinds, {False: tuple(map(expand, train)), True: tuple(map(expand, held_out))}


KINDS, FILLER = load_facts(Path(__file__).with_name("facts.toml"))


def all_templates(held_out: bool) -> set[str]:
    """Every sentence and question wording of a split, written out."""
    pools = [kind.held_out if held_out else kind.train for kind in KINDS]
    variants = [v for p in pools for v in (*p.sentences, *itertools.chain(*p.questions.values()))]
    variants += FILLER[held_out]
    return set(itertools.chain.from_iterable(variants))


SLOTS = sorted(
    {
        f"{kind.name}.{slot}"
        for kind in KINDS
        for slot in ("subject", *kind.slots, *kind.train.questions)
    }
)


# --- invented names --------------------------------------------------------------------------


def _words(text: str) -> list[str]:
    return [word.replace("_", " ") for word in text.split()]


ONSETS = _words("b br c ch d dr f fl g gr h j k kl l m n p pr qu r s sh sk st t th tr v w z")
VOWELS = _words("a a a e e e i i o o u ai ea")
CODAS = ["", "", "", "", "l", "m", "n", "r", "s", "t", "nd", "rk", "x"]
FAMILY_ENDINGS = ["son", "wick", "ley", "berg", "ova", "ini", "ham", "ard", "", "", ""]
TOWN_ENDINGS = ["ville", "burg", "ton", "ford", "mouth", "haven", "stad", "field", "", ""]
ADJECTIVES = _words(
    "silver glass hollow amber quiet copper paper broken distant golden iron scarlet northern "
    "wandering hidden velvet crooked lonely bright frozen green second restless marble"
)
NOUNS = _words(
    "heron harbour orchard lantern mirror tower garden compass sparrow island window anchor "
    "crown meadow falcon staircase fountain whale thistle comet ladder swan pilgrim forest"
)
QUALITIES = _words(
    "folding electric hydraulic portable floating rotary pocket double magnetic wooden steam "
    "self-winding underwater pneumatic solar automatic three-wheeled heated spring-loaded"
)
DEVICES = _words(
    "plough pump typewriter bicycle lamp clock loom camera elevator crane kettle umbrella scale "
    "telescope piano engine mill radio compressor drill printer sewing_machine fire_ladder"
)
JOBS = _words(
    "teacher baker engineer nurse surgeon librarian carpenter chemist gardener architect lawyer "
    "printer translator accountant journalist tailor mechanic photographer geologist musician "
    "painter cook clerk pharmacist weaver"
)
FIELDS = _words(
    "chemistry law medicine physics botany astronomy history music geology mathematics "
    "philosophy architecture economics zoology engineering linguistics"
)
CAUSES = _words(
    "pneumonia cholera tuberculosis heart_failure typhoid a_fall a_stroke malaria "
    "blood_poisoning influenza a_riding_accident"
)
VEHICLES = _words("train bicycle boat bus car balloon sledge horse ferry mule canoe steamer")
CARGOES = _words(
    "tea timber wool coal cotton coffee salt spices grain copper_ore dried_fish machine_parts "
    "olive_oil live_cattle bricks silk"
)
COMMON_NOUNS = {
    "job": JOBS,
    "field": FIELDS,
    "cause": CAUSES,
    "vehicle": VEHICLES,
    "cargo": CARGOES,
}
MONTHS = _words(
    "January February March April May June July August September October November December"
)


def is_held_out(name: str) -> bool:
    """About a fifth of all names are reserved for validation."""
    return zlib.crc32(name.lower().encode()) % 5 == 0


@dataclass(frozen=True)
class Draw:
    """Draws values of one split and remembers the names that it used."""

    rng: random.Random
    held_out: bool
    names_used: set[str]

    def name(self, make: Callable[[], str]) -> str:
        """Make names until one belongs to this split."""
        while is_held_out(candidate := make()) != self.held_out:
            pass
        self.names_used.add(candidate.lower())
        return candidate

    def syllables(self, count: int) -> str:
        """Make something pronounceable."""
        rng = self.rng
        parts = [rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(count)]
        return "".join(parts) + rng.choice(CODAS)

    def word(self, endings: list[str] | None = None) -> str:
        """Draw a name of one word."""

        def make() -> str:
            ending = self.rng.choice(endings) if endings else ""
            return (self.syllables(1 if ending else self.rng.choice((1, 2, 2))) + ending).title()

        return self.name(make)

    def pair(self, first: list[str], second: list[str]) -> str:
        """Draw a name of two words."""
        return self.name(lambda: f"{self.rng.choice(first)} {self.rng.choice(second)}")

    def year(self) -> str:
        """Draw a year."""
        return str(self.rng.randint(1780, 2024))

    def number(self, low: int, high: int) -> str:
        """A number, more often small than large, with thousands separators."""
        return f"{int(low * (high / low) ** self.rng.random()):,}"

    def value(self, kind: str) -> Value:
        """Draw a value of a slot kind that `facts.toml` names."""
        rng = self.rng
        text = ""
        match kind:
            case "person":
                text = f"{self.word()} {self.word(FAMILY_ENDINGS)}"
                return Value(text, (text,))
            case "city":
                text = self.word(TOWN_ENDINGS)
            case "river":
                text = self.word()
            case "company":
                word = self.word(FAMILY_ENDINGS)
                text = f"{word} {rng.choice(('Works', 'Mills', 'Motors', 'Instruments', 'Bank'))}"
                return Value(text, (text, word))
            case "college":
                text = (
                    f"{self.word(TOWN_ENDINGS)} {rng.choice(('College', 'Institute', 'Academy'))}"
                )
                if rng.random() < 0.4:
                    text = f"the University of {self.word(TOWN_ENDINGS)}"
            case "prize":
                text = f"{self.word(FAMILY_ENDINGS)} {rng.choice(('Prize', 'Medal', 'Award'))}"
            case "museum":
                text = f"{self.word(FAMILY_ENDINGS)} {rng.choice(('Museum', 'Gallery'))}"
            case "ship":
                text = f"the {self.pair(ADJECTIVES, NOUNS).title()}"
            case "title":
                text = f"The {self.pair(ADJECTIVES, NOUNS).title()}"
                if rng.random() < 0.3:
                    text += f" of {self.word(TOWN_ENDINGS)}"
            case "object":
                text = self.pair(QUALITIES, DEVICES)
            case "date":
                month, year = rng.choice(MONTHS), self.year()
                if rng.random() < 0.7:
                    text = f"{rng.randint(1, 28)} {month} {year}"
                    return Value(text, (text, f"{month} {year}"))
                text = f"{month} {rng.randint(1, 28)}, {year}"
            case "year":
                text = self.year()
            case "month":
                text = rng.choice(MONTHS)
            case "small":
                text = str(rng.randint(2, 40))
            case "age":
                text = str(rng.randint(23, 99))
            case "count":
                text = self.number(80, 1500)
            case "people":
                number = self.number(40, 400_000)
                text = f"{number} people"
                return Value(text, (text, number))
            case "days":
                text = f"{rng.randint(4, 140)} days"
            case "distance":
                number = self.number(20, 6000)
                text = f"{number} {rng.choice(('kilometres', 'miles', 'metres'))}"
                return Value(text, (text,))
            case "length":
                text = f"{self.number(12, 2000)} metres"
            case "money":
                number = self.number(200, 90_000)
                if rng.random() < 0.5:
                    number = f"{rng.randint(1, 60)}.{rng.randint(1, 9)} million"
                currency = rng.choice(("dollars", "pounds", "francs"))
                text = f"{number} {currency}"
                return Value(text, (text, number))
            case "job" | "field" | "cause" | "vehicle" | "cargo":
                text = rng.choice(COMMON_NOUNS[kind])
            case _:
                raise ValueError(f"unknown slot kind {kind!r}")
        return Value(text, (text,))

    def subject(self, kind: str) -> Subject:
        """Draw a person, company, town or ship."""
        name = self.value(kind).text
        if kind == "person":
            female = self.rng.random() < 0.5
            pronouns = ("she", "her", "her") if female else ("he", "his", "him")
            return Subject(kind, name, name.split()[-1], pronouns)
        return Subject(kind, name, name, None if kind == "city" else ("it", "its", "it"))


# --- passages --------------------------------------------------------------------------------

SUBJECT_WEIGHTS = {"person": 0.64, "company": 0.13, "city": 0.12, "ship": 0.11}
# Subjects per passage and facts per subject: the smallest and the largest number.
SIZES: dict[Length, tuple[tuple[int, int], tuple[int, int]]] = {
    "short": ((1, 2), (1, 1)),
    "usual": ((2, 2), (1, 2)),
    "long": ((3, 4), (2, 4)),
}


@dataclass
class _Writer:
    """Appends sentences to a text and keeps track of where the values landed."""

    text: str = ""

    def sentence(self, template: str, words: dict[str, str]) -> dict[str, Span]:
        """Fill a template in; returns where each slot landed."""
        spans: dict[str, Span] = {}
        if self.text:
            self.text += " "
        begin = len(self.text)
        for index, part in enumerate(re.split(r"\{([^}]*)\}", template)):
            if index % 2 == 0:
                self.text += part
                continue
            word = words[part]
            if word[0].lower() in "aeiou" and re.search(r"\ba $", self.text):
                self.text = self.text[:-1] + "n "
            if len(self.text) == begin:
                word = word[0].upper() + word[1:]
            spans[part] = Span(len(self.text), word)
            self.text += word
        return spans


def _subject_words(subject: Subject, mention: str) -> dict[str, str]:
    if mention == "pronoun":
        return dict(zip(("s", "own", "o"), subject.pronouns or (), strict=True))
    name = subject.name if mention == "full" else subject.short
    return {"s": name, "own": f"{name}'s", "o": name}


def _name_spans(subject: Subject, span: Span) -> tuple[Span, ...]:
    """The name inside a mention, without the article and the possessive ending."""
    text = span.text.removesuffix("'s")
    start = span.start
    if subject.kind == "ship":
        start, text = start + len("the "), text[len("the ") :]
    return (Span(start, text),)


def write_passage(draw: Draw, length: Length) -> Passage:
    """Write one passage: a main kind of subject, a few subjects of it, a few facts of each."""
    rng = draw.rng
    (low_subjects, high_subjects), (low_facts, high_facts) = SIZES[length]
    main = rng.choices(list(SUBJECT_WEIGHTS), list(SUBJECT_WEIGHTS.values()))[0]
    # Subjects of one passage share fact kinds, so the name in the question decides the answer.
    candidates = [kind for kind in KINDS if kind.subject == main]
    shared = rng.sample(candidates, min(len(candidates), high_facts + rng.randint(0, 1)))
    planned: list[tuple[Subject, FactKind]] = []
    for _ in range(rng.randint(low_subjects, high_subjects)):
        subject = draw.subject(main)
        count = min(rng.randint(low_facts, high_facts), len(shared))
        planned += [(subject, kind) for kind in rng.sample(shared, count)]
    if rng.random() < 0.3:
        rng.shuffle(planned)
    others = [kind for kind in KINDS if kind.subject != main]
    if length != "short" and rng.random() < 0.4:
        kind = rng.choice(others)
        planned.insert(rng.randint(0, len(planned)), (draw.subject(kind.subject), kind))

    writer = _Writer()
    facts: list[StatedFact] = []
    named: dict[str, tuple[Span, ...]] = {}  # the full name of each subject, where it first stood
    towns: list[Value] = []
    previous: Subject | None = None
    for subject, kind in planned:
        if length != "short" and rng.random() < 0.15:
            writer.sentence(rng.choice(rng.choice(FILLER[draw.held_out])), {})
            previous = None
        values: dict[str, Value] = {}
        for slot, value_kind in kind.slots.items():
            # The same town may turn up in several facts, as in real text.
            reuse = value_kind == "city" and towns and rng.random() < 0.15
            value = rng.choice(towns) if reuse else draw.value(value_kind)
            if value_kind == "city":
                towns.append(value)
            values[slot] = value
        mention = "full" if subject.name not in named else rng.choice(("full", "short", "short"))
        if previous is subject and subject.pronouns and rng.random() < 0.6:
            mention = "pronoun"
        pools = kind.held_out if draw.held_out else kind.train
        words = {slot: value.text for slot, value in values.items()}
        template = rng.choice(rng.choice(pools.sentences))
        spans = writer.sentence(template, words | _subject_words(subject, mention))
        answers: dict[str, tuple[Span, ...]] = {}
        for slot, value in values.items():
            if slot not in spans:
                continue
            span = spans[slot]
            answers[slot] = tuple(
                Span(span.start + value.text.index(t), span.text[value.text.index(t) :][: len(t)])
                for t in value.accepted
            )
            if kind.slots[slot] == "date":
                answers[f"{slot}.year"] = (Span(span.start + len(span.text) - 4, span.text[-4:]),)
        mentions = [spans[key] for key in ("s", "o", "own") if key in spans]
        if mention != "pronoun":
            here = _name_spans(subject, mentions[0])
            named.setdefault(subject.name, here)
            answers["subject"] = tuple(dict.fromkeys((*here, *named[subject.name])))
        else:
            answers["subject"] = named[subject.name]
        facts.append(StatedFact(kind, subject, values, answers))
        previous = subject
    title = planned[0][0].name.removeprefix("the ")
    return Passage(title, writer.text, tuple(facts))


def _fits(other: StatedFact, fact: StatedFact, key: str) -> bool:
    """Whether a question that names `key` of one fact could as well mean another one."""
    if key == "s":
        return other.subject == fact.subject
    return other.values[key].text == fact.values[key].text


def _question_variants(passage: Passage, held_out: bool) -> Iterator[tuple[StatedFact, str, str]]:
    """All (fact, slot, template) that have exactly one answer in the passage."""
    for fact in passage.facts:
        same_kind = [other for other in passage.facts if other.kind is fact.kind]
        pools = fact.kind.held_out if held_out else fact.kind.train
        for slot, templates in pools.questions.items():
            if slot not in fact.answers:
                continue
            for template in itertools.chain.from_iterable(templates):
                keys = set(re.findall(r"\{([^}]*)\}", template))
                meant = [o for o in same_kind if all(_fits(o, fact, key) for key in keys)]
                if keys and len(meant) == 1:
                    yield fact, slot, template


def _hints(passage: Passage, asked: StatedFact, by_subject: bool) -> list[Hint]:
    """What each value of the passage is, and whether it belongs to what is asked about."""
    return [
        Hint(
            span.start,
            span.start + len(span.text),
            f"{fact.kind.name}.{slot}",
            fact.subject == asked.subject if by_subject else fact is asked,
        )
        for fact in passage.facts
        for slot, (span, *_) in fact.answers.items()
        if not slot.endswith(".year")
    ]


def ask(draw: Draw, passage: Passage, count: int) -> Iterator[dict[str, Any]]:
    """Ask up to `count` questions about different slots of a passage.

    Besides the SQuAD columns, a row has `asked` and `hints`, which only training uses.
    """
    by_slot: dict[tuple[str, str, str], list[tuple[StatedFact, str, str]]] = {}
    for variant in _question_variants(passage, draw.held_out):
        fact, slot, _ = variant
        by_slot.setdefault((fact.subject.name, fact.kind.name, slot), []).append(variant)
    for key in draw.rng.sample(sorted(by_slot), min(count, len(by_slot))):
        fact, slot, template = draw.rng.choice(by_slot[key])
        words = {name: value.text for name, value in fact.values.items()}
        short = draw.rng.random() < 0.3
        words |= _subject_words(fact.subject, "short" if short else "full")
        writer = _Writer()
        writer.sentence(template, words)
        spans = fact.answers[slot]
        yield {
            "title": passage.title,
            "context": passage.text,
            "question": writer.text,
            "answers": {
                "text": [span.text for span in spans],
                "answer_start": [span.start for span in spans],
            },
            "asked": f"{fact.kind.name}.{slot}",
            "hints": _hints(passage, fact, by_subject="{s}" in template),
        }


def seeded_draw(seed: int, held_out: bool) -> Draw:
    """Start drawing values of one split."""
    return Draw(random.Random(seed), held_out, set())  # noqa: S311 (nothing secret)


def generate_rows(
    draw: Draw, count: int, lengths: dict[Length, float], questions_per_passage: int = 2
) -> list[dict[str, Any]]:
    """Generate `count` rows; `lengths` gives the share of each length among the passages."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        length = draw.rng.choices(list(lengths), list(lengths.values()))[0]
        rows += ask(draw, write_passage(draw, length), questions_per_passage)
    return rows[:count]
