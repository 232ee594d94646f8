"""A password that does not show itself: printed, logged, put into an error or written as JSON, it is ``***``."""

from __future__ import annotations

from typing import Any, Final

MASK: Final = "***"


class Secret:
    """A text that only ``reveal`` returns.

    It can be neither encoded nor pickled, so that no record, crash report or child process gets it by accident.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        """Keep a text; the empty one means that nothing was set."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Called where a client logs in, and nowhere else."""
        return self._text

    def __bool__(self) -> bool:
        """Tell whether one was set."""
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        """Return a hash that differs from process to process."""
        return hash((Secret, self._text))

    def __str__(self) -> str:
        """Return the mask, or nothing where nothing was set."""
        return MASK if self._text else ""

    def __repr__(self) -> str:
        """Return the mask in quotation marks, or empty ones."""
        return repr(str(self))

    def __reduce__(self) -> Any:
        """Refuse to be pickled.

        Raises:
            TypeError: always.

        """
        text = "a secret is not written anywhere"
        raise TypeError(text)


#: Nothing set. One object, by which msgspec knows the default again and leaves it out.
NO_SECRET: Final = Secret()
