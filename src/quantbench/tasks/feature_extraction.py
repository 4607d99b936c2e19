"""Feature extraction: a vector for a text, judged by how similar it makes pairs of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, JsonValue

from quantbench.core.errors import ConfigError, Problem
from quantbench.core.frozen import Frozen
from quantbench.core.results import Prediction
from quantbench.core.specs import MetricSpec, TaskSpec
from quantbench.protocols import Array, Encoded, Inputs, Outputs, Scored
from quantbench.tasks.one_number import OneNumber
from quantbench.tasks.rows import text_of
from quantbench.tasks.tokenizer import Tokenizer, check_length, load_tokenizer, to_arrays

# Digits of a vector that are kept: what int8 changes is in the second or third.
_KEPT_DIGITS = 6


class FeatureExtractionArgs(Frozen):
    """How a vector is made of the last hidden states."""

    max_seq_length: Annotated[int, Field(ge=3)] | None = Field(
        None, description="Tokens of a text, at most; the model's own limit when left out."
    )
    pooling: Literal["mean", "cls"] = Field(
        "mean",
        description="mean: over all tokens of the text. cls: the first token's, as BERT-like "
        "models that were trained so need it.",
    )


@dataclass(frozen=True)
class FeatureExtractionRun:
    """Feature extraction for one model and one dataset of pairs.

    `length` is the number of tokens that texts are cut at, None if nothing limits it.
    """

    tokenizer: Tokenizer
    length: int | None
    pooling: Literal["mean", "cls"]
    text_columns: Mapping[str, str]
    similarity: OneNumber
    notes: tuple[str, ...] = ()

    def encode(self, row: Mapping[str, Any]) -> tuple[Encoded, ...]:
        """Two inputs, one for each text: int64 arrays [1, length], unpadded.

        Raises:
            ConfigError: a column does not hold a text, or there is not a single token in it.
        """
        return tuple(self._encoded(row, column, key) for key, column in self.text_columns.items())

    def decode(
        self, row: Mapping[str, Any], encoded: Sequence[Encoded], outputs: Sequence[Outputs]
    ) -> Prediction:
        """How similar the two texts are.

        Args:
            row: the sample.
            encoded: its two inputs, unpadded, so that all tokens count.
            outputs: for each, `last_hidden_state` [1, length, hidden].

        Returns:
            As score the cosine of the two vectors, as answer the same in two digits after the
            point; `vector` has both, each of length 1, one behind the other.

        Raises:
            QuantbenchError: the vectors have no direction.
        """
        vectors = [self._vector(output["last_hidden_state"][0]) for output in outputs]
        found = self.similarity.decode(np.array([vectors[0] @ vectors[1]]))
        kept = np.round(np.concatenate(vectors), _KEPT_DIGITS)
        # The cosine is no logit: how far the model is from another, the vectors say.
        return found.model_copy(update={"vector": tuple(kept.tolist()), "logits": ()})

    def reference(self, row: Mapping[str, Any]) -> JsonValue:
        """How similar people say the texts are, in any unit.

        Raises:
            ConfigError: it is no number.
        """
        return self.similarity.reference(row[self.similarity.label_column])

    def score(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Scored:
        """Spearman's and Pearson's correlation of cosines and references, as fractions.

        Raises:
            ValueError: no samples, or not as many references.
        """
        if not predictions:
            raise ValueError("nothing to score: there are no predictions")
        return self.similarity.score(predictions, references)

    def dummy_inputs(
        self, batch_size: int, input_length: int | None, rng: np.random.Generator
    ) -> Inputs:
        """Random ordinary tokens without padding: int64 arrays [batch_size, input_length].

        Raises:
            ValueError: no length is given.
            UsageError: the model does not take that many tokens.
        """
        return self.tokenizer.random_inputs(batch_size, input_length, rng)

    def _encoded(self, row: Mapping[str, Any], column: str, key: str) -> Encoded:
        names = self.tokenizer.input_names
        encoding = self.tokenizer.fast(
            [text_of(row, column, key)],
            truncation=self.length is not None,
            max_length=self.length,
            padding=False,
            return_attention_mask=True,
            return_token_type_ids="token_type_ids" in names,
        )
        inputs = to_arrays(encoding, 0, names)
        if not inputs["input_ids"].size:  # GPT-2 and the like add no token of their own
            message = f"there is not a single token in {column}: leave the row out"
            raise ConfigError("rows", [Problem(f"dataset.data_keys.{key}", message)])
        return Encoded(inputs, None)

    def _vector(self, states: Array) -> Array:
        """Of hidden states [length, hidden] one vector of length 1, float64 [hidden]."""
        pooled = states[0] if self.pooling == "cls" else states.mean(axis=0, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            return np.asarray(pooled / np.linalg.norm(pooled), dtype=np.float64)


class FeatureExtraction:
    """The task, before a model is known."""

    spec = TaskSpec(
        name="feature-extraction",
        data_keys=("text", "text_pair"),
        num_ref_keys=1,
        metrics=(
            MetricSpec("spearman", 100.0, False, "spearman"),
            MetricSpec("pearson", 100.0, False, "pearson"),
        ),
        uses_input_length=True,
        auto_class="AutoModel",
        architecture_suffix="Model",
        output_names=("last_hidden_state",),
        args=FeatureExtractionArgs,
    )

    def open(
        self,
        model_dir: Path,
        task_args: Mapping[str, JsonValue],
        data_keys: Mapping[str, str],
        ref_keys: Sequence[str],
        label_names: Sequence[str] | None,
        graph_inputs: Sequence[str] | None = None,
    ) -> FeatureExtractionRun:
        """Load the tokenizer of a model directory. Similarities are numbers: no class names.

        Of the model's inputs those are made that are among `graph_inputs`, if there are any.

        Raises:
            UsageError: the tokenizer is missing or unfit.
            ConfigError: texts are to be longer than the model takes.
        """
        args = FeatureExtractionArgs.model_validate(dict(task_args))
        tokenizer = load_tokenizer(model_dir, graph_inputs)
        if args.max_seq_length is not None:
            check_length(tokenizer, args.max_seq_length)
        return FeatureExtractionRun(
            tokenizer=tokenizer,
            length=args.max_seq_length or tokenizer.max_length,
            pooling=args.pooling,
            text_columns={key: data_keys[key] for key in self.spec.data_keys},
            similarity=OneNumber(ref_keys[0]),
        )


TASK = FeatureExtraction()
