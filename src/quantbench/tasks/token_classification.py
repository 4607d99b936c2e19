"""Token classification: a tag for each word of a sentence, and entities made of tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, JsonValue

from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.core.frozen import Frozen
from quantbench.core.results import Prediction
from quantbench.core.specs import TaskSpec
from quantbench.protocols import Array, Encoded, Inputs, Outputs, Scored
from quantbench.tasks.entities import OUTSIDE, Scheme, letters, strange_tags
from quantbench.tasks.entity_scores import METRICS, score_tags
from quantbench.tasks.kept_logits import kept_log_probabilities
from quantbench.tasks.labels import align_labels, class_names, label_id, matched_by_number
from quantbench.tasks.tokenizer import Tokenizer, check_length, load_tokenizer
from quantbench.tasks.word_windows import WordTokenizer, make_windows, word_tokenizer

_SHOWN = 12


class TokenClassificationArgs(Frozen):
    """How sentences are cut and entities are found."""

    max_seq_length: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Tokens of an input, at most; the model's own limit when left out. A longer "
        "sentence becomes several inputs: no word is lost.",
    )
    scheme: Scheme | None = Field(
        None,
        description="What tags must follow to be an entity, as seqeval's strict mode has it; "
        "seqeval's default mode when left out.",
    )


@dataclass(frozen=True)
class TokenClassificationRun:
    """Token classification for one model and one dataset.

    `names` are the tags by the model's class numbers, `aligned` maps the dataset's class numbers
    to the model's, None if the dataset has no class names.
    """

    tokenizer: Tokenizer
    words: WordTokenizer
    id2label: Mapping[int, str]
    names: Mapping[int, str]
    aligned: tuple[int, ...] | None
    scheme: Scheme | None
    tokens_column: str
    tags_column: str
    notes: tuple[str, ...] = ()

    def encode(self, row: Mapping[str, Any]) -> tuple[Encoded, ...]:
        """The words as inputs: int64 arrays [1, length], unpadded; several if they are too many.

        Raises:
            ConfigError: the column does not hold a list of words, or no word becomes a token.
        """
        windows = make_windows(self.words, self._words(row))
        if any(array.size == 0 for window in windows for array in window.inputs.values()):
            raise self._refused(
                f"holds {row[self.tokens_column]!r:.80}, of which nothing becomes a token: leave "
                "the row out"
            )
        return tuple(Encoded(window.inputs, window.first_tokens) for window in windows)

    def decode(
        self, row: Mapping[str, Any], encoded: Sequence[Encoded], outputs: Sequence[Outputs]
    ) -> Prediction:
        """The tag of each word: the highest logit at its first sub-token.

        Args:
            row: the sample.
            encoded: its windows.
            outputs: per window, `logits` [1, length or more, classes].

        Returns:
            As answer the list of tags, as score the mean of their probabilities; with those of all
            tags for each word that has a sub-token. A word without one (an empty one, or of
            characters that the tokenizer drops) is `O`. Answer and score are None if a logit is
            not a number: a broken model is wrong, not right by chance.
        """
        tags: list[str] = []
        probabilities: list[float] = []
        all_logits: list[Array] = []
        for part, output in zip(encoded, outputs, strict=True):
            places = [place for place in part.context if place is not None]
            logits = np.asarray(output["logits"][0], dtype=np.float64)[places]
            if np.isnan(logits).any():
                return Prediction(answer=None)
            found = iter(logits.argmax(axis=-1).tolist())
            tags += [
                OUTSIDE if place is None else self._name(next(found)) for place in part.context
            ]
            probabilities += _highest_probabilities(logits)
            all_logits.append(logits)
        score = float(np.mean(probabilities)) if probabilities else None
        return Prediction(
            answer=list[JsonValue](tags),
            score=score,
            log_probabilities=kept_log_probabilities(np.concatenate(all_logits)),
        )

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """The tags of a row, as the model names them.

        The column holds a list of class numbers or of tags, one for each word.

        Raises:
            ConfigError: something else, a tag that is no class of the model, or another number of
                tags than words.
        """
        num_words = len(self._words(row))
        values = row[self.tags_column]
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise self._refused(
                f"holds {values!r:.80}, not a list of tags: one for each word",
                of_tags=True,
            )
        if len(values) != num_words:
            raise self._refused(
                f"holds {len(values)} tags, but the column {self.tokens_column} of the row holds "
                f"{num_words} words: each word needs one tag",
                of_tags=True,
            )
        # Few different tags, so that each is looked up once.
        different = {repr(value): value for value in values}
        number = {
            key: label_id(value, self.aligned, self.id2label) for key, value in different.items()
        }
        return [self._name(number[repr(value)]) for value in values]

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Precision, recall and F1 of entities, and accuracy of tags: see `score_tags`.

        Raises:
            ValueError: no samples, or not as many references.
        """
        answers: list[Any] = [prediction.answer for prediction in predictions]
        return score_tags(answers, references, self.scheme)

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Random ordinary tokens without padding: int64 arrays [batch_size, input_length].

        Raises:
            ValueError: no length is given.
            UsageError: the model does not take that many tokens.
        """
        return self.tokenizer.random_inputs(batch_size, input_length, rng)

    def _name(self, number: int) -> str:
        return self.names.get(number, str(number))

    def _words(self, row: Mapping[str, Any]) -> Sequence[str]:
        """The words of a row, at least one."""
        words = row[self.tokens_column]
        if words is None:
            raise self._refused("holds None, not a list of words: leave the row out, or fill it in")
        if not isinstance(words, Sequence) or isinstance(words, str):
            raise self._refused(
                f"holds {words!r:.80}, not a list of words: split the text as the tags are"
            )
        if not words:
            raise self._refused("holds a list without words: leave the row out")
        strange = next((word for word in words if not isinstance(word, str)), words[0])
        if not isinstance(strange, str):
            raise self._refused(
                f"holds a list with {strange!r:.80} in it, which is no text: write each word as "
                "one, or leave the row out"
            )
        return words

    def _refused(self, what: str, *, of_tags: bool = False) -> ConfigError:
        column = self.tags_column if of_tags else self.tokens_column
        parameter = "dataset.ref_keys[0]" if of_tags else "dataset.data_keys.tokens"
        return ConfigError("rows", [Problem(parameter, f"the column {column} {what}")])


class TokenClassification:
    """The task, before a model is known."""

    spec = TaskSpec(
        name="token-classification",
        data_keys=("tokens",),
        num_ref_keys=1,
        metrics=METRICS,
        uses_input_length=True,
        auto_class="AutoModelForTokenClassification",
        architecture_suffix="ForTokenClassification",
        output_names=("logits",),
        args=TokenClassificationArgs,
    )

    def open(
        self,
        model_dir: Path,
        task_args: Mapping[str, JsonValue],
        data_keys: Mapping[str, str],
        ref_keys: Sequence[str],
        label_names: Sequence[str] | None,
        graph_inputs: Sequence[str] | None = None,
    ) -> TokenClassificationRun:
        """Load the tokenizer of a model directory and match the tags by name.

        Of the model's inputs those are made that are among `graph_inputs`, if there are any.

        Raises:
            UsageError: the tokenizer is missing or unfit, or the model has one class only.
            ConfigError: the dataset's tags are not the model's, or are none of the scheme, or
                inputs are to be longer than the model takes.
        """
        from transformers import AutoConfig

        args = TokenClassificationArgs.model_validate(dict(task_args))
        tokenizer = load_tokenizer(model_dir, graph_inputs)
        length = args.max_seq_length
        if length is not None:
            check_length(tokenizer, length)
        config = AutoConfig.from_pretrained(
            model_dir, local_files_only=True, trust_remote_code=False
        )
        id2label = {int(number): str(name) for number, name in config.id2label.items()}
        if len(id2label) < 2:
            raise UsageError(
                f"the model in {model_dir} has {len(id2label)} class: every answer would be right",
                hint="Name a model that was trained to tell tags apart.",
            )
        aligned = align_labels(label_names, id2label)
        names = class_names(label_names, id2label)
        by_number = matched_by_number(label_names, id2label)
        not_entities = _check_tags(list(names.values()), args.scheme)
        return TokenClassificationRun(
            tokenizer=tokenizer,
            words=word_tokenizer(tokenizer, tokenizer.max_length if length is None else length),
            id2label=id2label,
            names=names,
            aligned=aligned,
            scheme=args.scheme,
            tokens_column=data_keys["tokens"],
            tags_column=ref_keys[0],
            notes=tuple(note for note in (by_number, not_entities) if note is not None),
        )


TASK = TokenClassification()


def _check_tags(names: Sequence[str], scheme: Scheme | None) -> str | None:
    """A note where the model's tags are not those of entities.

    Raises:
        ConfigError: there is a scheme, and some are none of its tags.
    """
    strange = strange_tags(names, scheme)
    if not strange:
        return None
    listed = ", ".join(strange[:_SHOWN]) + (", ..." if len(strange) > _SHOWN else "")
    if scheme is None:
        return (
            f"{listed}: tags that do not begin with B-, I-, E- or S-, so that entities, and with "
            "them f1, precision and recall, mean little (for L- and U- set task_args.scheme: "
            "BILOU); with metrics: [accuracy] that of all tags decides"
        )
    message = f"tags of the model that are none of the scheme: {listed}"
    allowed = f"tags that begin with {', '.join(letters(scheme))}; without a scheme, any"
    raise ConfigError("task_args", [Problem("task_args.scheme", message, scheme, allowed)])


def _highest_probabilities(logits: Any) -> list[float]:
    """Of each row of logits [words, classes] that of the chosen class; infinite logits count."""
    highest = logits.max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        others = np.where(logits == highest, 0.0, logits - highest)
    return [float(value) for value in 1.0 / np.exp(others).sum(axis=-1)]
