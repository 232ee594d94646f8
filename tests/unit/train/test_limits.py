"""What an export refuses: numbers in the vocabulary, and size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tests.support.papers import card_facts
from tests.support.tiny_model import save_tokenizer
from tests.support.train_rows import some_ready, some_tokenizer
from worker.errors import TrainError
from worker.train.release.limits import MAX_BYTES, check_digits, check_parameters, check_size, digit_tokens, vocabulary
from worker.train.rl.start import open_start

NUMBERS = ("room 101 at 1984", "call 555 0199", "１２ and ٣٤") * 40  # noqa: RUF001  (digits of other scripts)


def _tokenizer(*, splits_digits: bool) -> Any:
    """Train byte-level BPE on numbers, with and without cutting them into digits first."""
    tokenizer: Any = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splits_digits)
    cut = [pre_tokenizers.Digits(individual_digits=True)] if splits_digits else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cut, level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(NUMBERS, trainer)
    return tokenizer


def test_a_vocabulary_with_numbers_is_refused() -> None:
    """Numbers of any script, wherever in the token they stand."""
    vocabulary = _tokenizer(splits_digits=False).get_vocab()

    assert {" 101", " 1984"} <= set(digit_tokens(vocabulary))
    assert any("\u0663" in token for token in digit_tokens(vocabulary))
    assert digit_tokens(["a1b", "4", "<|v1|>", "<|v12|>"]) == ["<|v12|>"]
    with pytest.raises(TrainError, match=r"tokens hold two or more digits, .* single digits"):
        check_digits(vocabulary)


def test_single_digits_pass() -> None:
    """A tokenizer that cuts numbers first has none, and neither has that of the small models."""
    check_digits(_tokenizer(splits_digits=True).get_vocab())
    check_digits(some_tokenizer(some_ready()).get_vocab())


def test_the_small_models_tokenizer_cuts_numbers() -> None:
    """It learns from rows that end in numbers, and still writes each digit on its own."""
    assert [" ", "1", "9", "8", "4"] == [
        token.replace("Ġ", " ") for token in some_tokenizer(some_ready()).encode(" 1984").tokens
    ]


def test_training_goes_on_from_no_tokenizer_of_ours_with_numbers(tmp_path: Path) -> None:
    """A checkpoint of others has the vocabulary that it has; a model from scratch is refused."""
    save_tokenizer(tmp_path)

    assert ["15"] == digit_tokens(vocabulary(tmp_path))
    assert open_start(tmp_path, tmp_path).folder == tmp_path
    (tmp_path / "metrics.json").write_bytes(orjson.dumps(card_facts()))
    with pytest.raises(TrainError, match="1 tokens hold two or more digits, 15 among them"):
        open_start(tmp_path, tmp_path)


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    """Parameters and the folder's bytes each have their bound; what is at the bound passes."""
    check_parameters(8_000_000)
    with pytest.raises(TrainError, match="lower --layers or --hidden"):
        check_parameters(8_000_001)
    (tmp_path / "model.safetensors").write_bytes(bytes(MAX_BYTES))
    check_size(tmp_path)
    (tmp_path / "README.md").write_bytes(b"x")
    with pytest.raises(TrainError, match=f"{MAX_BYTES + 1} bytes"):
        check_size(tmp_path)
