"""Entities and their scores are those of seqeval, by default and strictly."""

import random
import warnings
from typing import Any, get_args

import pytest
import seqeval.scheme
from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from quantbench.tasks.entities import Scheme, find_entities, letters, strange_tags
from quantbench.tasks.entity_scores import METRICS, score_tags

SCHEMES: tuple[Scheme, ...] = get_args(Scheme)
TYPES = ("PER", "LOC-GPE", "A-B-C", "X-")
SENTENCES = 2000


def random_sentences(letters: str, seed: int, bare: bool = True) -> list[list[str]]:
    """Any letter may follow any other, with few types, so that many transitions are invalid."""
    rng = random.Random(seed)
    found = []
    for _ in range(SENTENCES):
        tags = []
        for letter in rng.choices(letters, k=rng.randint(1, 9)):
            typed = letter != "O" and not (bare and rng.random() < 0.1)
            tags.append(f"{letter}-{rng.choice(TYPES)}" if typed else letter)
        found.append(tags)
    return found


def similar(sentences: list[list[str]], seed: int) -> list[list[str]]:
    """Half of the tags are kept, so that some entities are right."""
    rng = random.Random(seed)
    pool = [tag for tags in sentences for tag in tags]
    return [
        tags
        if rng.random() < 0.3
        else [t if rng.random() < 0.6 else rng.choice(pool) for t in tags]
        for tags in sentences
    ]


def official(expected: Any, found: Any, scheme: Scheme | None) -> dict[str, float]:
    how: dict[str, Any] = {}
    if scheme is not None:
        how = {"mode": "strict", "scheme": getattr(seqeval.scheme, scheme)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tags that seqeval doubts, metrics without a divisor
        return {
            "f1": f1_score(expected, found, **how),
            "precision": precision_score(expected, found, **how),
            "recall": recall_score(expected, found, **how),
            "accuracy": accuracy_score(expected, found),
        }


class TestParity:
    def test_the_default_mode_finds_the_entities_of_seqeval(self) -> None:
        # L and U with a type only: a bare one depends on the sentence before, in seqeval.
        sentences = random_sentences("BIESO", 1) + random_sentences("BIESLUO", 2, bare=False)
        for tags in sentences:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                assert sorted(find_entities(tags)) == sorted(get_entities(tags)), tags

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_the_strict_mode_finds_the_entities_of_seqeval(self, scheme: Scheme) -> None:
        sentences = random_sentences("".join(letters(scheme)), 3)
        entities = seqeval.scheme.Entities(sentences, getattr(seqeval.scheme, scheme)).entities
        for tags, expected in zip(sentences, entities, strict=True):
            wanted = sorted((item.tag, item.start, item.end - 1) for item in expected)
            assert sorted(find_entities(tags, scheme)) == wanted, tags

    @pytest.mark.parametrize("scheme", [None, *SCHEMES])
    def test_all_metrics_are_those_of_seqeval(self, scheme: Scheme | None) -> None:
        expected = random_sentences("BIESO" if scheme is None else "".join(letters(scheme)), 4)
        found = similar(expected, 5)
        scored = score_tags(found, expected, scheme)
        assert scored.metrics == pytest.approx(official(expected, found, scheme), abs=1e-9)
        assert 0.2 < scored.metrics["f1"] < 0.9

    @pytest.mark.parametrize(
        ("expected", "found"),
        [
            ([["O", "O"]], [["O", "O"]]),
            ([["O", "O"]], [["O", "B-X"]]),
            ([["B-X", "O"]], [["O", "O"]]),
            ([["B-X", "O"]], [["B-Y", "O"]]),
        ],
    )
    @pytest.mark.parametrize("scheme", [None, "IOB2"])
    def test_so_they_are_where_nothing_is_found_or_to_be_found(
        self, expected: Any, found: Any, scheme: Scheme | None
    ) -> None:
        assert score_tags(found, expected, scheme).metrics == official(expected, found, scheme)


@pytest.mark.parametrize(
    ("tags", "scheme", "entities"),
    [
        ("O B-PER I-PER O B-LOC", None, {("PER", 1, 2), ("LOC", 4, 4)}),
        ("I-PER I-PER I-LOC", None, {("PER", 0, 1), ("LOC", 2, 2)}),
        ("B-PER B-PER", None, {("PER", 0, 0), ("PER", 1, 1)}),
        ("B-PER I-LOC", None, {("PER", 0, 0), ("LOC", 1, 1)}),
        ("S-PER E-PER", None, {("PER", 0, 0), ("PER", 1, 1)}),
        ("B-LOC-GPE I-LOC-GPE", None, {("LOC-GPE", 0, 1)}),
        ("B I O", None, {("_", 0, 1)}),
        ("O O", None, set()),
        ("O I-PER I-PER", "IOB2", set()),
        ("B-PER I-PER I-LOC", "IOB2", {("PER", 0, 1)}),
        ("O I-PER B-PER", "IOB1", {("PER", 1, 1), ("PER", 2, 2)}),
        ("I-PER E-PER E-LOC", "IOE2", {("PER", 0, 1), ("LOC", 2, 2)}),
        ("B-PER I-PER E-PER S-LOC", "IOBES", {("PER", 0, 2), ("LOC", 3, 3)}),
        ("B-PER I-PER O", "IOBES", set()),
        ("B-PER L-PER U-LOC", "BILOU", {("PER", 0, 1), ("LOC", 2, 2)}),
        ("B-PER U-PER", "BILOU", {("PER", 1, 1)}),
    ],
)
def test_entities_that_were_found_by_hand(
    tags: str, scheme: Scheme | None, entities: set[Any]
) -> None:
    assert find_entities(tags.split(), scheme) == entities


def test_a_tag_that_the_scheme_does_not_have_is_an_error() -> None:
    with pytest.raises(ValueError, match="'S-PER' is no tag of IOB2"):
        find_entities(["B-PER", "S-PER"], "IOB2")


def test_strange_tags_are_those_that_seqeval_would_warn_of_or_refuse() -> None:
    names = ["O", "B", "B-PER", "L-PER", "NOUN", "Outside"]
    assert strange_tags(names, None) == ("L-PER", "NOUN", "Outside")
    assert strange_tags(names, "IOB2") == ("L-PER", "NOUN")
    assert strange_tags(["", "O"], "IOB2") == ("",)


class TestScores:
    EXPECTED = (["B-X", "I-X", "O"], ["O"], ["B-X", "O"])

    def test_a_sentence_has_its_own_scores_between_0_and_1(self) -> None:
        found = [["B-X", "I-X", "B-X"], ["O"], ["O", "O"]]
        scored = score_tags(found, self.EXPECTED, None)
        assert scored.per_sample == {
            "f1": (pytest.approx(2 / 3), 1.0, 0.0),
            "precision": (0.5, 1.0, 1.0),  # nothing that was found is wrong
            "recall": (1.0, 1.0, 0.0),
            "accuracy": (pytest.approx(2 / 3), 1.0, 0.5),
        }

    def test_what_each_sentence_contributes(self) -> None:
        scored = score_tags([["B-X", "I-X", "B-X"], ["O"], ["O", "O"]], self.EXPECTED, None)
        assert scored.parts == {
            "f1": ((1, 2, 1), (0, 0, 0), (0, 0, 1)),
            "precision": ((1, 2), (0, 0), (0, 0)),
            "recall": ((1, 1), (0, 0), (0, 1)),
            "accuracy": ((2, 3), (1, 1), (1, 2)),
        }
        assert scored.metrics == {
            "f1": 0.5, "precision": 0.5, "recall": 0.5, "accuracy": pytest.approx(4 / 6),
        }  # fmt: skip

    def test_without_an_answer_a_sentence_is_wrong_even_where_nothing_is_to_be_found(self) -> None:
        scored = score_tags([None, None, ["B-X", "O"]], self.EXPECTED, None)
        for metric in METRICS:
            assert scored.per_sample[metric.name] == (0.0, 0.0, 1.0)
        assert scored.parts["accuracy"] == ((0, 3), (0, 1), (2, 2))
        assert scored.metrics["recall"] == 0.5

    def test_answers_of_another_length_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            score_tags([["O"]], [["O", "O"]], None)
