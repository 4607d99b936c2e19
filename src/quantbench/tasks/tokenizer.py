"""Loading a model's tokenizer, and what of it depends on the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantbench.core.errors import ConfigError, Problem, UsageError
from quantbench.protocols import Array

# Their positions start behind the padding token's number: 514 positions hold 512 tokens.
_SHIFTED_POSITIONS = frozenset(
    {"camembert", "data2vec-text", "longformer", "luke", "mpnet", "roberta", "xlm-roberta"}
    | {"xlm-roberta-xl", "xmod", "ibert", "esm", "roberta-prelayernorm"}
)


@dataclass(frozen=True)
class Tokenizer:
    """A fast tokenizer with the limits of its model.

    `fast` is transformers' object. `max_length` is the number of tokens that the model takes,
    None if nothing limits it. `input_names` are the inputs that the model takes.
    `ordinary_ids` are the numbers of all tokens that are not special, ascending.
    """

    fast: Any
    max_length: int | None
    input_names: tuple[str, ...]
    ordinary_ids: Array

    def random_inputs(
        self, batch_size: int, length: int | None, rng: np.random.Generator
    ) -> dict[str, Array]:
        """Random ordinary tokens, nothing padded: int64 arrays [batch_size, length].

        Raises:
            ValueError: no length is given.
            UsageError: the model does not take that many tokens.
        """
        if length is None:
            raise ValueError("a model of texts needs an input length")
        if self.max_length is not None and length > self.max_length:
            raise UsageError(
                f"input_lengths: {length} tokens asked for, but the model takes "
                f"at most {self.max_length}"
            )
        shape = (batch_size, length)
        values = {
            "input_ids": rng.choice(self.ordinary_ids, size=shape),
            "attention_mask": np.ones(shape, dtype=np.int64),
            "token_type_ids": np.zeros(shape, dtype=np.int64),
        }
        return {name: values[name] for name in self.input_names}


def load_tokenizer(model_dir: Path, graph_inputs: Sequence[str] | None = None) -> Tokenizer:
    """Load the tokenizer of a model directory.

    Args:
        model_dir: directory in transformers layout.
        graph_inputs: the only inputs to make, of those that the model takes; None for all.

    Raises:
        UsageError: there is none, it has no fast form (which tells where tokens stand in the
            text), or it is not the model's.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(
            model_dir, local_files_only=True, trust_remote_code=False
        )
        fast = AutoTokenizer.from_pretrained(
            model_dir, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UsageError(f"the tokenizer in {model_dir} cannot be loaded: {error}") from error
    if not fast.is_fast:
        raise UsageError(
            f"the tokenizer in {model_dir} ({type(fast).__name__}) is a slow one: it cannot tell "
            "where in the text a token stands, so only fast ones are supported",
            hint="Save a tokenizer.json beside the model, if there is a fast class of this "
            "tokenizer; if it exists in Python only, the model cannot be used for this task.",
        )
    special = set(fast.all_special_ids)
    numbers = sorted(set(fast.get_vocab().values()))
    ordinary = np.array([number for number in numbers if number not in special], dtype=np.int64)
    # transformers makes a tokenizer of special tokens only where the files are missing.
    if ordinary.size == 0:
        raise UsageError(
            f"the tokenizer in {model_dir} knows no words: its files are missing",
            hint="Save it beside the model: tokenizer.save_pretrained(directory).",
        )
    vocabulary_size = getattr(config, "vocab_size", None)
    # Special ones too: one that is in no input of ours can still stand in a text.
    if vocabulary_size is not None and numbers[-1] >= vocabulary_size:
        raise UsageError(
            f"the tokenizer in {model_dir} is not the model's: it has tokens up to number "
            f"{numbers[-1]} ({fast.convert_ids_to_tokens(numbers[-1])!r}), the model knows "
            f"{vocabulary_size} from number 0 on",
            hint="Save the model's own tokenizer beside it. If tokens were added to it, the model "
            "must grow too: model.resize_token_embeddings(len(tokenizer)).",
        )
    return Tokenizer(
        fast=fast,
        max_length=max_tokens(
            config.model_type,
            getattr(config, "max_position_embeddings", None),
            getattr(config, "pad_token_id", None),
            # A tokenizer without a limit says 10^30.
            int(fast.model_max_length) if fast.model_max_length < 10**9 else None,
        ),
        input_names=tuple(
            name
            for name in _input_names(fast, config)
            if graph_inputs is None or name in graph_inputs
        ),
        ordinary_ids=ordinary,
    )


def null_position(fast: Any, inputs: Mapping[str, Array]) -> int:
    """The token that stands for "no answer" in an input of question answering.

    The one that `run_qa` trains such questions on: CLS, wherever the tokenizer puts it (XLNet: at
    the end), else the first BOS, else the first token. `postprocess_qa_predictions` always reads
    the first token, which is the same one where CLS stands first, as in BERT and RoBERTa.

    Args:
        fast: the tokenizer.
        inputs: with `input_ids`, int64 [1, length].
    """
    tokens = inputs["input_ids"][0].tolist()
    for special in (fast.cls_token_id, fast.bos_token_id):
        if special in tokens:
            return int(tokens.index(special))
    return 0


def check_length(tokenizer: Tokenizer, max_seq_length: int) -> None:
    """Refuse to cut texts at more tokens than the model takes.

    Raises:
        ConfigError: `task_args.max_seq_length` is above the limit.
    """
    limit = tokenizer.max_length
    if limit is not None and max_seq_length > limit:
        message = f"the model takes at most {limit} tokens"
        problem = Problem("task_args.max_seq_length", message, str(max_seq_length))
        raise ConfigError("task_args", [problem])


def max_tokens(
    model_type: str, positions: object, pad_token_id: object, tokenizer_limit: int | None
) -> int | None:
    """The number of tokens that a model takes, special ones included; None if nothing limits it.

    Args:
        model_type: as in the model's config.
        positions: its `max_position_embeddings`; not a positive number where it has no limit.
        pad_token_id: its padding token.
        tokenizer_limit: what its tokenizer is set to.
    """
    limits = [] if tokenizer_limit is None else [tokenizer_limit]
    if isinstance(positions, int) and positions > 0:
        if model_type in _SHIFTED_POSITIONS:
            positions -= (pad_token_id if isinstance(pad_token_id, int) else 0) + 1
        limits.append(positions)
    return min(limits, default=None)


def _input_names(fast: Any, config: Any) -> tuple[str, ...]:
    """Inputs in the order of the tokenizer's own list.

    A tokenizer can list token types that its model does not take (DistilBERT's is BERT's).
    """
    has_types = config.model_type == "xlnet" or (getattr(config, "type_vocab_size", 0) or 0) > 1
    known = ("input_ids", "attention_mask", *(("token_type_ids",) if has_types else ()))
    return tuple(name for name in fast.model_input_names if name in known)


def to_arrays(encoding: Mapping[str, Any], index: int, names: tuple[str, ...]) -> dict[str, Array]:
    """One sequence of a tokenizer's answer as int64 arrays [1, length]."""
    return {name: np.array([encoding[name][index]], dtype=np.int64) for name in names}
