"""Words in, a tag for each out, labels matched by name; nothing is lost of long sentences."""

import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantbench.core.errors import ConfigError, UsageError
from quantbench.protocols import Array, Encoded, SessionOptions
from quantbench.runtimes import pytorch
from quantbench.tasks.entity_scores import score_tags
from quantbench.tasks.rows import check_references, naming_row
from quantbench.tasks.token_classification import TASK, TokenClassificationRun
from quantbench.tasks.word_windows import num_fitting
from tiny_taggers import NO_TOKENS, POSITIONS, TAGS, save_tagger, sentences

# In another order than the model's.
NAMES = ("b-loc", "i-loc", "b-per", "i-per", "o")


def open_task(
    directory: Path, label_names: Sequence[str] | None = NAMES, **task_args: Any
) -> TokenClassificationRun:
    return TASK.open(directory, task_args, {"tokens": "tokens"}, ("tags",), label_names)


@pytest.fixture
def run(tagger_dir: Path) -> TokenClassificationRun:
    return open_task(tagger_dir)


def tokens_of(run: TokenClassificationRun, part: Encoded) -> list[str]:
    found: list[str] = run.tokenizer.fast.convert_ids_to_tokens(
        part.inputs["input_ids"][0].tolist()
    )
    return found


def logits_for(encoded: Sequence[Encoded], numbers: Sequence[int]) -> list[dict[str, Array]]:
    """Outputs that choose the numbers at first sub-tokens, in order, and class 4 elsewhere."""
    outputs, chosen = [], iter(numbers)
    for part in encoded:
        logits = np.zeros((1, part.inputs["input_ids"].shape[1], len(TAGS)), np.float32)
        logits[:, :, 4] = 1.0
        for place in part.context:
            if place is not None:
                logits[0, place, next(chosen)] = 2.0
        outputs.append({"logits": logits})
    return outputs


class TestEncoding:
    def test_words_become_sub_tokens_between_special_tokens(
        self, run: TokenClassificationRun
    ) -> None:
        (part,) = run.encode({"tokens": ["Who", "unbelievable", "Town", "x-ray"]})
        expected = "[CLS] who un ##believ ##able town x - r ##a ##y [SEP]"
        assert tokens_of(run, part) == expected.split()
        assert part.context == (1, 2, 5, 6)
        assert part.inputs.keys() == {"input_ids", "attention_mask", "token_type_ids"}

    def test_words_without_a_token_are_skipped(self, run: TokenClassificationRun) -> None:
        (part,) = run.encode({"tokens": ["", "who", "\u200b", "town", "\u00ad"]})
        assert part.context == (None, 1, None, 2, None)

    def test_a_sentence_of_such_words_is_an_input_of_special_tokens(
        self, run: TokenClassificationRun
    ) -> None:
        row = {"tokens": list(NO_TOKENS)}
        encoded = run.encode(row)
        assert tokens_of(run, encoded[0]) == ["[CLS]", "[SEP]"]
        assert run.decode(row, encoded, logits_for(encoded, [])).answer == ["O"] * 3


class TestLongSentences:
    def test_each_word_is_in_one_window_in_order_and_whole(
        self, run: TokenClassificationRun
    ) -> None:
        words = ["unbelievable", "who", "", "zurich"] * 20
        encoded = run.encode({"tokens": words})
        assert len(encoded) > 3
        assert max(part.inputs["input_ids"].shape[1] for part in encoded) <= POSITIONS
        pieces = [token for part in encoded for token in tokens_of(run, part)[1:-1]]
        zurich = ["z", "##u", "##r", "##i", "##c", "##h"]
        assert pieces == ["un", "##believ", "##able", "who", *zurich] * 20
        assert sum(len(part.context) for part in encoded) == len(words)

    def test_the_first_window_takes_what_fits(self, run: TokenClassificationRun) -> None:
        encoded = run.encode({"tokens": ["who"] * 100})
        assert [len(part.context) for part in encoded] == [46, 46, 8]

    def test_tags_come_back_in_the_order_of_the_words(self, run: TokenClassificationRun) -> None:
        words = sentences(1, most_words=120, seed=3)[0] + ["who"] * 60
        encoded = run.encode({"tokens": words})
        places = [place for part in encoded for place in part.context]
        assert len(places) == len(words)
        numbers = np.random.default_rng(0).integers(0, 4, len(words)).tolist()
        with_token = [n for n, place in zip(numbers, places, strict=True) if place is not None]
        found = run.decode({}, encoded, logits_for(encoded, with_token)).answer
        assert found == [
            "O" if place is None else TAGS[n] for n, place in zip(numbers, places, strict=True)
        ]

    def test_a_shorter_input_can_be_asked_for(self, tagger_dir: Path) -> None:
        run = open_task(tagger_dir, max_seq_length=5)
        encoded = run.encode({"tokens": ["who", "river", "town", "unbelievable", "who"]})
        assert [len(part.context) for part in encoded] == [3, 1, 1]

    def test_a_word_longer_than_an_input_keeps_its_beginning_and_this_is_logged(
        self, run: TokenClassificationRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            encoded = run.encode({"tokens": ["who", "z" * 90, "town"]})
        assert [part.context for part in encoded] == [(1,), (1,), (1,)]
        assert tokens_of(run, encoded[1])[:2] == ["[CLS]", "z"]
        assert encoded[1].inputs["input_ids"].shape == (1, POSITIONS)
        assert "a word of 90 tokens is longer than an input of 48" in caplog.text

    @pytest.mark.parametrize(
        ("counts", "fitting"),
        [
            ([2, 2, 2], 2),
            ([4, 1], 1),
            ([3, 1], 2),
            ([4, 0, 0, 1], 3),
            ([9, 1], 1),
            ([0, 9, 0, 1], 3),
            ([0, 0], 2),
        ],
    )
    def test_as_many_words_as_have_room_but_at_least_one_with_tokens(
        self, counts: list[int], fitting: int
    ) -> None:
        assert num_fitting(counts, 4) == fitting

    @pytest.mark.parametrize(
        ("length", "said"),
        [(POSITIONS + 1, "the model takes at most 48 tokens"), (2, "have no room for a word")],
    )
    def test_a_length_that_cannot_be_is_refused(
        self, tagger_dir: Path, length: int, said: str
    ) -> None:
        with pytest.raises(UsageError, match=said):
            open_task(tagger_dir, max_seq_length=length)


class TestDecoding:
    def test_a_word_is_read_at_its_first_sub_token(self, run: TokenClassificationRun) -> None:
        row = {"tokens": ["unbelievable", "who", "zurich"]}
        encoded = run.encode(row)
        found = run.decode(row, encoded, logits_for(encoded, [1, 2, 0]))
        assert found.answer == ["B-PER", "I-PER", "O"]
        # Logits of the chosen class 2, of one other 1, of three others 0.
        chosen = math.e**2 / (math.e**2 + math.e + 3)
        assert found.score == pytest.approx(chosen)

    def test_logits_that_are_not_numbers_are_no_answer(self, run: TokenClassificationRun) -> None:
        row = {"tokens": ["who", "", "zurich"], "tags": [4, 4, 4]}
        encoded = run.encode(row)
        outputs = logits_for(encoded, [0, 0])
        outputs[0]["logits"][0, 2, 3] = math.nan
        found = run.decode(row, encoded, outputs)
        assert (found.answer, found.score) == (None, None)
        scored = run.score([found], [run.reference(row)])
        assert set(scored.metrics.values()) == {0.0}
        assert {values[0] for values in scored.per_sample.values()} == {0.0}

    def test_infinite_logits_are_numbers(self, run: TokenClassificationRun) -> None:
        row = {"tokens": ["who", "river"]}
        encoded = run.encode(row)
        outputs = logits_for(encoded, [1, 1])
        outputs[0]["logits"][0, 1, 2] = math.inf
        outputs[0]["logits"][0, 2, 2] = -math.inf
        found = run.decode(row, encoded, outputs)
        assert found.answer == ["I-PER", "B-PER"]
        assert found.score is not None
        assert 0 < found.score <= 1

    def test_of_equal_logits_the_first_class_wins(self, run: TokenClassificationRun) -> None:
        encoded = run.encode({"tokens": ["who"]})
        assert run.decode({}, encoded, [{"logits": np.ones((1, 3, 5))}]).answer == ["O"]


class TestLabels:
    def test_numbers_are_matched_by_name(self, run: TokenClassificationRun) -> None:
        row = {"tokens": ["a"] * 5, "tags": [0, 1, 2, 3, 4]}
        assert run.reference(row) == ["B-LOC", "I-LOC", "B-PER", "I-PER", "O"]

    def test_so_are_names(self, tagger_dir: Path) -> None:
        run = open_task(tagger_dir, label_names=None)
        row = {"tokens": ["a", "b"], "tags": ["b-per", "O"]}
        assert run.reference(row) == ["B-PER", "O"]

    def test_other_tags_are_refused_with_both_lists(self, tagger_dir: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            open_task(tagger_dir, label_names=("O", "B-ORG", "I-ORG", "B-PER", "I-PER"))
        assert "dataset: O, B-ORG, I-ORG, B-PER, I-PER" in str(caught.value)
        assert "model:   O, B-PER, I-PER, B-LOC, I-LOC" in str(caught.value)

    def test_names_of_the_dataset_are_taken_where_the_model_has_none(self, tmp_path: Path) -> None:
        generic = {number: f"LABEL_{number}" for number in range(5)}
        run = open_task(save_tagger(tmp_path, generic, weights=False), label_names=TAGS)
        assert run.reference({"tokens": ["a"], "tags": [1]}) == ["B-PER"]
        assert "matched by number" in run.notes[0]

    def test_tags_of_no_entities_are_noted(self, tmp_path: Path) -> None:
        names = {0: "NOUN", 1: "VERB", 2: "L-PER", 3: "B-PER"}
        run = open_task(save_tagger(tmp_path, names, weights=False), label_names=None)
        (note,) = run.notes
        assert note.startswith("NOUN, VERB, L-PER: tags that do not begin with B-, I-, E- or S-")

    def test_a_model_of_one_class_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="has 1 class"):
            open_task(save_tagger(tmp_path, {0: "O"}, weights=False), label_names=None)


class TestSchemes:
    def test_entities_are_strict_where_a_scheme_is_named(self, tagger_dir: Path) -> None:
        expected, found = ["O", "B-PER", "O"], ["O", "I-PER", "O"]
        row = {"tokens": ["who"] * 3}
        for scheme, f1 in ((None, 1.0), ("IOB2", 0.0)):
            run = open_task(tagger_dir, scheme=scheme)
            encoded = run.encode(row)
            numbers = [TAGS.index(tag) for tag in found]
            answer = run.decode(row, encoded, logits_for(encoded, numbers))
            assert run.score([answer], [expected]).metrics["f1"] == f1

    def test_a_scheme_that_the_models_tags_are_not_of_is_refused(self, tagger_dir: Path) -> None:
        with pytest.raises(ConfigError, match=r"task_args\.scheme = IOE2") as caught:
            open_task(tagger_dir, scheme="IOE2")
        assert "none of the scheme: B-PER, B-LOC" in str(caught.value)
        assert "begin with I, O, E" in str(caught.value)

    def test_an_unknown_scheme_is_refused(self, tagger_dir: Path) -> None:
        with pytest.raises(ValueError, match="IOBES"):
            open_task(tagger_dir, scheme="IOB3")


GOOD: dict[str, Any] = {"tokens": ["who", "river"], "tags": [4, 4]}
BAD_WORDS = [
    (None, "column tokens holds None, not a list of words: leave the row out"),
    ("who river", "column tokens holds 'who river', not a list of words: split the text"),
    ([], "column tokens holds a list without words: leave the row out"),
    (["who", None], "a list with None in it, which is no text"),
    (["who", 7], "a list with 7 in it, which is no text"),
]


class TestBadRows:
    @pytest.mark.parametrize(("words", "said"), BAD_WORDS)
    @pytest.mark.parametrize("what", ["encode", "reference"])
    def test_words_that_are_none(
        self, run: TokenClassificationRun, words: Any, said: str, what: str
    ) -> None:
        with pytest.raises(ConfigError) as caught, naming_row(17):
            getattr(run, what)(GOOD | {"tokens": words})
        for part in ("row 17 (the first is 0)", "dataset.data_keys.tokens", said):
            assert part in str(caught.value)

    @pytest.mark.parametrize(
        ("tags", "said"),
        [
            (None, "column tags holds None, not a list of tags"),
            ("OO", "column tags holds 'OO', not a list of tags"),
            (3, "column tags holds 3, not a list of tags"),
            ([4], "holds 1 tags, but the column tokens of the row holds 2 words"),
            ([4, 4, 4], "holds 3 tags, but the column tokens of the row holds 2 words"),
            ([4, None], "None is neither a class number nor a class name: leave the row out"),
            ([4, 5], "5 is no class of the dataset"),
            ([4, -100], "-100 is no class of the dataset"),
            ([4, "B-ORG"], "'B-ORG' is the name of no class of the model"),
            ([4, [4]], "[4] is neither a class number nor a class name"),
        ],
    )
    def test_tags_that_are_none(self, run: TokenClassificationRun, tags: Any, said: str) -> None:
        with pytest.raises(ConfigError) as caught:
            check_references(run, [(3, GOOD), (17, GOOD | {"tags": tags})])
        for part in ("row 17: ", "dataset.ref_keys[0]", said):
            assert part in str(caught.value)

    def test_encoding_needs_no_tags(self, run: TokenClassificationRun) -> None:
        assert run.encode({"tokens": ["who"]})


def like_run_ner(model: Any, tokenizer: Any, words: list[str]) -> list[str]:
    """The alignment of transformers' run_ner: labels at first sub-tokens, others are left out."""
    import torch

    encoding = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        numbers = model(**encoding).logits[0].argmax(-1).tolist()
    tags = []
    previous = None
    for number, word in zip(numbers, encoding.word_ids(0), strict=True):
        if word is not None and word != previous:
            tags.append(model.config.id2label[number])
        previous = word
    return tags


@pytest.fixture(scope="module")
def ours(tagger_dir: Path) -> list[list[str]]:
    """Our tags of 250 sentences, those of words without a token left out."""
    run = open_task(tagger_dir)
    options = SessionOptions(1, auto_class=TASK.spec.auto_class)
    session = pytorch.RUNTIME.open(tagger_dir, options)
    found = []
    for words in sentences(250):
        row = {"tokens": words}
        encoded = run.encode(row)
        outputs = [dict(session.bind(part.inputs)()) for part in encoded]
        answer: Any = run.decode(row, encoded, outputs).answer
        assert len(answer) == len(words)
        found.append(
            [tag for tag, word in zip(answer, words, strict=True) if word not in NO_TOKENS]
        )
    session.close()
    return found


class TestAsTransformers:
    def test_tags_are_those_of_run_ner(self, tagger_dir: Path, ours: list[list[str]]) -> None:
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        model = AutoModelForTokenClassification.from_pretrained(tagger_dir).eval()
        tokenizer = AutoTokenizer.from_pretrained(tagger_dir)
        assert ours == [like_run_ner(model, tokenizer, words) for words in sentences(250)]
        assert {tag for tags in ours for tag in tags} == set(TAGS)

    def test_tags_are_those_of_the_pipeline_at_the_beginning_of_words(
        self, tagger_dir: Path, ours: list[list[str]]
    ) -> None:
        from transformers import pipeline

        tagger = pipeline("token-classification", model=str(tagger_dir), ignore_labels=[])
        expected = []
        for words in sentences(250):
            (found,) = tagger(words, is_split_into_words=True)
            starts = np.cumsum([0, *(len(word) + 1 for word in words[:-1])]).tolist()
            at = {item["start"]: item["entity"] for item in reversed(found)}
            expected.append(
                [at[s] for s, word in zip(starts, words, strict=True) if word not in NO_TOKENS]
            )
        assert ours == expected

    def test_metrics_of_these_tags_are_those_of_seqeval(self, ours: list[list[str]]) -> None:
        from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score

        # Two of three sentences are read one word late, so that some entities are right.
        wanted = [tags[1:] + tags[:1] if n % 3 else tags for n, tags in enumerate(ours)]
        of_seqeval = {
            "f1": f1_score,
            "precision": precision_score,
            "recall": recall_score,
            "accuracy": accuracy_score,
        }
        found = score_tags(ours, wanted, None).metrics
        assert found == {
            name: pytest.approx(metric(wanted, ours), abs=1e-9)
            for name, metric in of_seqeval.items()
        }
        assert 0.2 < found["f1"] < 0.95


class TestByteLevelTokenizers:
    """RoBERTa's and GPT-2's: a blank belongs to the word behind it."""

    @pytest.fixture(params=[False, True])
    def byte_dir(self, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
        from tokenizers.pre_tokenizers import ByteLevel
        from transformers import RobertaConfig, RobertaTokenizerFast

        merges = [("t", "h"), ("Ġ", "th"), ("Ġ", "r"), ("Ġr", "i")]
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        merged = ["".join(pair) for pair in merges]
        vocab = {w: n for n, w in enumerate([*special, *sorted(ByteLevel.alphabet()), *merged])}
        tokenizer = RobertaTokenizerFast(vocab=vocab, merges=merges, add_prefix_space=request.param)
        tokenizer.save_pretrained(tmp_path)
        RobertaConfig(
            vocab_size=len(vocab),
            max_position_embeddings=66,
            type_vocab_size=1,
            id2label=dict(enumerate(TAGS)),
            label2id={name: number for number, name in enumerate(TAGS)},
        ).save_pretrained(tmp_path)
        return tmp_path

    def test_words_become_the_tokens_that_they_are_in_a_text(self, byte_dir: Path) -> None:
        from transformers import AutoTokenizer

        reference = AutoTokenizer.from_pretrained(byte_dir, add_prefix_space=True)
        run = open_task(byte_dir)
        for words in sentences(60, most_words=5, seed=2):
            encoded = run.encode({"tokens": words})
            ids = [n for part in encoded for n in part.inputs["input_ids"][0, 1:-1].tolist()]
            wanted = [word for word in words if word]
            text = reference(wanted, is_split_into_words=True, add_special_tokens=False)
            assert ids == text["input_ids"]
        (part,) = run.encode({"tokens": ["the", "river", "", "ri"]})
        assert tokens_of(run, part) == ["<s>", "Ġth", "e", "Ġri", "v", "e", "r", "Ġri", "</s>"]
        assert part.context == (1, 3, None, 7)


def test_a_tokenizer_that_needs_whole_texts_is_refused(tagger_dir: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    shutil.copytree(tagger_dir, tmp_path / "model")
    vocab = {"[UNK]": 0, "a": 1, "b": 2}
    whole = Tokenizer(models.WordLevel(vocab, "[UNK]"))  # it splits nothing
    fast = PreTrainedTokenizerFast(tokenizer_object=whole)
    fast.save_pretrained(tmp_path / "model")
    with pytest.raises(UsageError, match="does not take lists of words"):
        open_task(tmp_path / "model")
