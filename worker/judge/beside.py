"""Reads what lies beside a model's weights and was made for one model only."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from worker.decoding import UNREADABLE
from worker.errors import ModelError


class OfModel(Protocol):
    """What such a file holds: among other things, the ``fingerprint.model_key`` that it was made for."""

    @property
    def model(self) -> str:
        """The key."""


Content = TypeVar("Content", bound=OfModel)


def read(path: Path, content: type[Content], what: str, cure: str) -> Content | None:
    """Read a file of a model folder, whichever model it was made for; None where there is none.

    Raises:
        ModelError: it is not ``what`` it should be; ``cure`` says what to do.

    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        text = f"{path.name} of the model cannot be read ({error.strerror}); {cure}"
        raise ModelError(text) from None
    try:
        return msgspec.json.decode(raw, type=content)
    except UNREADABLE as error:
        text = f"{path.name} of the model is not {what} ({error}); {cure}"
        raise ModelError(text) from None


def of_model(found: Content | None, name: str, key: str, cure: str) -> Content | None:
    """Return what was read from the file of this name, if it was made for the model with this key.

    Raises:
        ModelError: it was made for another one.

    """
    if found is not None and found.model != key:
        text = f"{name} was made for the model {found.model[:12]}, this one is {key[:12]}; {cure}"
        raise ModelError(text)
    return found
