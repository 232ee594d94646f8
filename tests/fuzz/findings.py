"""What is kept of an input that something is wrong with. No import of the program."""

from __future__ import annotations

import base64
import traceback
from typing import Final, NamedTuple

_SHOWN_CHARS: Final = 300
#: Whose lines tell where it happened; what they call may be anything.
_OURS: Final = ("/worker/", "/tests/fuzz/")


class Finding(NamedTuple):
    """A crash or a hang: the input in base64, and what it raised and where."""

    target: str
    kind: str
    error: str
    place: str
    input: str

    @property
    def repeat(self) -> str:
        """The command that repeats it."""
        return f"python -m tests.fuzz --target {self.target} --input {self.input or chr(39) * 2}"


def crash(target: str, error: BaseException, data: bytes) -> Finding:
    """Describe an error that a target let out."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if any(part in one.filename for part in _OURS)]
    # Relative to the repository: a finding is published.
    places = [
        f"{one.filename.rpartition('/worker/')[1] or '/tests/'}{one.filename.rpartition('/')[2]}:{one.lineno}"
        for one in frames
    ]
    text = f"{type(error).__name__}: {error}"[:_SHOWN_CHARS]
    return Finding(target, "crash", text, places[-1].lstrip("/") if places else "", base64.b64encode(data).decode())
