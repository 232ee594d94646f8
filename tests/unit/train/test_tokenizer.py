"""The tokenizer that verdicts are read from."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.support.train_rows import some_ready, some_tokenizer
from worker.errors import TrainError
from worker.train.examples.tokenizer import save_tokenizer, train_tokenizer
from worker.train.recipe import load_demo_template

TEXTS = [
    "so unsafe.",
    "See  you\r\n e\u0301\u200b",
    "<|end|> <|policy|>",
    "😀 don't STOP'S 12345",
    " ",
    "\\boxed{unsafe} U7",
]


def test_labels_are_whole_tokens() -> None:
    """``safe`` and ``unsafe`` are one token each, and different ones, alone and after the verdict's opening."""
    tokenizer = some_tokenizer(some_ready())
    for label in ("safe", "unsafe"):
        assert [label] == tokenizer.encode(label).tokens
        assert label in tokenizer.encode("\\boxed{" + label + "}").tokens


def test_texts_without_verdicts_are_refused() -> None:
    """A tokenizer whose labels would fall apart is not made."""
    with pytest.raises(TrainError, match="safe"):
        train_tokenizer(["hello there"] * 4, load_demo_template(), vocab_size=300)


def test_saved_folder_tokenises_alike(tmp_path: Path) -> None:
    """The folder is read as a Qwen2 tokenizer that cuts every text as training did."""
    ready = some_ready()
    tokenizer = some_tokenizer(ready)
    save_tokenizer(tokenizer, ready.template, tmp_path, 1024)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.encode_special_tokens = True
    for text in TEXTS:
        served = loaded.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert tokenizer.encode(text, add_special_tokens=False).ids == served
    assert tokenizer.token_to_id("<|end|>") == loaded.eos_token_id
