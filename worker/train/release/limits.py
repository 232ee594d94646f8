"""What an export may not be: too large, or able to hold numbers in its vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, decoders

from worker.errors import TrainError

MAX_PARAMETERS: Final = 8_000_000
MAX_BYTES: Final = 18_000_000
_SHOWN: Final = 5


def check_parameters(parameters: int) -> None:
    """Refuse a network that is too large.

    Raises:
        TrainError: it is.

    """
    if parameters > MAX_PARAMETERS:
        text = f"{parameters} parameters are too many for a demo model ({MAX_PARAMETERS}); lower --layers or --hidden"
        raise TrainError(text)


def check_size(folder: Path) -> None:
    """Refuse a folder whose files are too large together.

    Raises:
        TrainError: they are.

    """
    size_bytes = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    if size_bytes > MAX_BYTES:
        text = f"{folder} holds {size_bytes} bytes, a demo model has {MAX_BYTES} at most; lower --layers or --hidden"
        raise TrainError(text)


def digit_tokens(tokens: Iterable[str]) -> list[str]:
    """Return the texts of byte-level tokens with two digits or more, in whatever script, sorted."""
    decoder = decoders.ByteLevel()
    texts = (decoder.decode([token]) for token in tokens)
    return sorted(text for text in texts if sum(char.isdigit() for char in text) > 1)


def vocabulary(folder: Path) -> list[str]:
    """Return the tokens of a model folder's tokenizer, without those that were added to it.

    Raises:
        TrainError: it cannot be read.

    """
    file = folder / "tokenizer.json"
    try:
        tokenizer: Any = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001  (the library raises bare exceptions only)
        text = f"{file} is not a tokenizer: {error}; save it with a fast tokenizer"
        raise TrainError(text) from None
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    return [token for token in tokenizer.get_vocab(with_added_tokens=False) if token not in added]


def check_digits(tokens: Iterable[str]) -> None:
    """Refuse a vocabulary in which a number could stand whole: a phone number, a date, a house.

    Raises:
        TrainError: it has such tokens.

    """
    found = digit_tokens(tokens)
    if found:
        text = (
            f"{len(found)} tokens hold two or more digits, {', '.join(found[:_SHOWN])} among them; "
            "train a tokenizer that cuts numbers into single digits"
        )
        raise TrainError(text)
