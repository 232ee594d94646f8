"""What a run has been answered so far, on disk: one that was cut off need not ask the model again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from worker.errors import UsageError

FILE_NAME: Final = "partial.jsonl"
#: Reasoning may quote a message, so the file is for its owner alone.
_MODE: Final = 0o600
Found = TypeVar("Found")


class Once(Protocol):
    """Does a piece of work, or returns what came of it in an earlier try."""

    async def __call__(self, key: str, kind: type[Found], work: Callable[[], Awaitable[Found]]) -> Found:
        """Return what ``work`` came to, now or earlier; ``key`` names it, ``kind`` is what it returns."""


async def anew(key: str, kind: type[Found], work: Callable[[], Awaitable[Found]]) -> Found:  # noqa: ARG001 - a protocol
    """Do the work, whatever was before."""
    return await work()


class Conditions(Struct, frozen=True, kw_only=True):
    """What answers have in common; under others they are answers of another run.

    Attributes:
        fingerprint: of the model, with template, calibration and engine.
        split, rows, seed, in_flight: as in the options.
        rows_digest: SHA-256 of the places of the split's rows.

    """

    fingerprint: str
    split: str
    rows: int
    seed: int
    in_flight: int
    rows_digest: str


class Journal:
    """Answers by section and key, in a file that is appended to; its first line says under which conditions.

    Attributes:
        path: of the file.
        earlier: answers that it had from earlier tries.
        taken: how many times one of those was asked for.

    """

    def __init__(self, folder: Path, conditions: Conditions, *, resume: bool) -> None:
        """Go on with the answers in ``folder``, if there are any, or begin without them.

        Raises:
            UsageError: the answers are of other conditions, or the file cannot be read or written.

        """
        self.path = folder / FILE_NAME
        self.taken = 0
        try:
            lines = _whole_lines(self.path) if resume else []
            self._by_key = _by_key(self.path, lines, conditions)
            self.earlier = len(self._by_key)
            self._file = _opened(self.path, sum(map(len, lines)))
            if not lines:
                self._write(conditions)
        except OSError as error:
            text = f"{self.path} cannot be written ({error.strerror}); choose another --out"
            raise UsageError(text) from None

    def section(self, name: str) -> Once:
        """Return what keeps the answers of one section; the same key may stand in several."""

        async def once(key: str, kind: type[Found], work: Callable[[], Awaitable[Found]]) -> Found:
            return await self._once(f"{name}: {key}", kind, work)

        return once

    async def _once(self, key: str, kind: type[Found], work: Callable[[], Awaitable[Found]]) -> Found:
        earlier = self._by_key.get(key)
        if earlier is not None:
            self.taken += 1
            return msgspec.json.decode(earlier, type=kind)
        found = await work()
        self._write((key, found))
        return found

    def _write(self, line: object) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Let go of the file; it stays."""
        self._file.close()


def forget(folder: Path) -> None:
    """Remove the answers of a run that is done: report and answers without texts stand in their place."""
    (folder / FILE_NAME).unlink(missing_ok=True)


def _whole_lines(path: Path) -> list[bytes]:
    """Return every line that was written to its end."""
    try:
        return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    except FileNotFoundError:
        return []


def _by_key(path: Path, lines: list[bytes], conditions: Conditions) -> dict[str, msgspec.Raw]:
    try:
        if lines and msgspec.json.decode(lines[0], type=Conditions) != conditions:
            text = (
                f"{path} holds answers of another model or engine setting, or to another --split, --rows or --seed; "
                "give those again, or leave --resume out to begin anew"
            )
            raise UsageError(text)
        return dict(msgspec.json.decode(line, type=tuple[str, msgspec.Raw]) for line in lines[1:])
    except msgspec.DecodeError as error:
        text = f"{path} is no file of answers that this version can read ({error}); leave --resume out to begin anew"
        raise UsageError(text) from None


def _opened(path: Path, whole_bytes: int) -> BinaryIO:
    """Open the file for appending behind its whole lines, readable for its owner alone."""
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE), "ab")
    file.truncate(whole_bytes)
    return file
