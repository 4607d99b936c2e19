"""Which tokenizers a model can come with, and which are refused, with the reason."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from quantbench.core.errors import ConfigError, UsageError
from quantbench.tasks.question_answering import TASK, QuestionAnsweringRun
from quantbench.tasks.tokenizer import null_position
from small_texts import small_config

END = "<|endoftext|>"


def open_task(directory: Path) -> QuestionAnsweringRun:
    keys = {"question": "question", "context": "context"}
    args = {"max_seq_length": 40, "doc_stride": 8}
    return TASK.open(directory, args, keys, ("answers",), None)


def test_a_tokenizer_without_a_padding_token_works_as_nothing_is_padded(gpt2_dir: Path) -> None:
    import torch
    from transformers import AutoConfig, GPT2ForQuestionAnswering

    run = open_task(gpt2_dir)
    row = {"question": " who?", "context": "the river is long, the town is old. " * 4}
    encoded = run.encode(row)
    assert len(encoded) > 2
    assert all(part.inputs["attention_mask"].all() for part in encoded)
    assert all(part.inputs["input_ids"].shape[1] <= 40 for part in encoded)
    model = GPT2ForQuestionAnswering(AutoConfig.from_pretrained(gpt2_dir)).eval()
    with torch.inference_mode():
        outputs = [
            model(**{name: torch.from_numpy(array) for name, array in part.inputs.items()})
            for part in encoded
        ]
    found = run.decode(row, encoded, [{k: v.numpy() for k, v in o.items()} for o in outputs])
    assert found.answer
    assert str(found.answer) in row["context"]
    dummy = run.dummy_inputs(3, 64, np.random.default_rng(0))
    assert dummy["input_ids"].shape == (3, 64)


def test_a_row_without_a_single_token_is_refused(gpt2_dir: Path) -> None:
    run = open_task(gpt2_dir)
    assert len(run.encode({"question": "who", "context": ""})) == 1
    with pytest.raises(ConfigError, match="question and context are both empty"):
        run.encode({"question": " ", "context": ""})


def test_a_slow_tokenizer_is_refused_with_the_reason(tmp_path: Path) -> None:
    from transformers import CanineConfig, CanineTokenizer

    CanineTokenizer().save_pretrained(tmp_path)
    small_config(CanineConfig(hidden_size=32), tmp_path)
    with pytest.raises(UsageError, match="cannot tell where in the text a token") as caught:
        open_task(tmp_path)
    assert "CanineTokenizer" in str(caught.value)
    assert "tokenizer.json" in str(caught.value)


def test_a_model_that_knows_fewer_tokens_than_its_tokenizer_is_refused_when_opened(
    gpt2_dir: Path,
) -> None:
    from transformers import AutoConfig

    small_config(AutoConfig.from_pretrained(gpt2_dir), gpt2_dir, vocab_size=200)
    with pytest.raises(UsageError, match=r"up to number 260 .*knows 200 from number 0 on"):
        open_task(gpt2_dir)


def test_a_special_token_that_the_model_does_not_know_is_refused_too(gpt2_dir: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gpt2_dir)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(gpt2_dir)
    with pytest.raises(UsageError, match=r"\[PAD\](.|\n)*resize_token_embeddings"):
        open_task(gpt2_dir)


def test_a_model_that_knows_more_tokens_than_its_tokenizer_is_fine(gpt2_dir: Path) -> None:
    from transformers import AutoConfig

    small_config(AutoConfig.from_pretrained(gpt2_dir), gpt2_dir, vocab_size=320)
    dummy = open_task(gpt2_dir).dummy_inputs(8, 64, np.random.default_rng(0))
    assert dummy["input_ids"].max() < 260


@pytest.mark.parametrize(
    ("cls", "bos", "tokens", "expected"),
    [
        (2, None, [2, 7, 3, 8, 3], 0),  # BERT
        (2, 1, [8, 3, 7, 3, 2], 4),  # XLNet: CLS comes last
        (None, 1, [7, 1, 8], 1),
        (None, 1, [7, 8], 0),  # GPT-2 adds no token of its own
        (None, None, [7, 8], 0),
    ],
)
def test_the_token_of_no_answer_is_the_one_that_run_qa_trains_it_on(
    cls: int | None, bos: int | None, tokens: list[int], expected: int
) -> None:
    fast = SimpleNamespace(cls_token_id=cls, bos_token_id=bos)
    assert null_position(fast, {"input_ids": np.array([tokens])}) == expected
