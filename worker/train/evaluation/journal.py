"""What a run has been answered so far, on disk: one that was cut off need not ask the model again."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, structs

import worker
from worker.decoding import UNREADABLE
from worker.errors import TrainError, UsageError
from worker.file_lock import hold
from worker.judge.judgement import Judgement
from worker.judge.parse import Reading

FILE_NAME: Final = "partial.jsonl"
#: Reasoning may quote a message, so the file is for its owner alone.
_MODE: Final = 0o600
#: What the model said. All else is said of a moment or of a setting, and is asked again.
_LASTING: Final = frozenset({"judged", "unparseable", "truncated", "contradictory"})


class Kept(Struct, frozen=True, kw_only=True):
    """What came of one question; ``reading``: of a free call, whose whole text is the judgement's reasoning."""

    judgement: Judgement
    reading: Reading | None = None


Work = Callable[[], Awaitable[Kept]]
#: Does the work that a key names, or returns what came of it in an earlier try.
Once = Callable[[str, Work], Awaitable[Kept]]


async def anew(_key: str, work: Work) -> Kept:
    """Do the work, whatever was before."""
    return await work()


class Conditions(Struct, frozen=True, kw_only=True):
    """What answers have in common; under others they are answers of another run.

    Attributes:
        fingerprint: of the model, with template, calibration and engine.
        split, sections, methods, rows, seed, in_flight: as in the options.
        rows_digest: SHA-256 of the places of the split's rows.
        version: of this program.

    """

    fingerprint: str
    split: str
    sections: tuple[str, ...]
    methods: tuple[str, ...]
    rows: int
    seed: int
    in_flight: int
    rows_digest: str
    version: str = worker.__version__


#: How a user names each condition.
_NAMES: Final = {
    "fingerprint": "model or engine",
    "sections": "--only",
    "methods": "--method",
    "in_flight": "max_num_seqs",
    "rows_digest": "--data",
    "version": "version of rsafe",
}


class Journal:
    """Answers by section and key, in a file that one process at a time appends to.

    Its first line says under which conditions they were given.

    Attributes:
        path: of the file.
        earlier: answers that it had from earlier tries.
        taken: how many times one of those was asked for.
        written: answers that were added to them.

    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        """Open the file with the answers of earlier tries, or an empty one.

        Raises:
            UsageError: another process writes to it, it has answers and none are asked for, or it cannot be opened.

        """
        self.path = folder / FILE_NAME
        self.taken = self.written = 0
        try:
            self._file = _locked(self.path)
            lines = _whole_lines(self.path)
        except OSError as error:
            text = f"{self.path} cannot be read and written ({error.strerror}); mend that, or choose another --out"
            raise UsageError(text) from None
        self.earlier = max(0, len(lines) - 1)
        if self.earlier and not resume:
            text = (
                f"{self.path} holds {self.earlier} answers of a run that was cut off; "
                "go on with it: --resume, or delete the file to begin anew"
            )
            raise UsageError(text)
        self._file.truncate(sum(map(len, lines)))
        self._head, self._by_key = _read(self.path, lines)

    def begin(self, conditions: Conditions) -> None:
        """Say under which conditions answers are given from now on.

        Raises:
            UsageError: those of earlier tries were given under others.
            TrainError: the file cannot be written.

        """
        if self._head is None:
            self._write(conditions)
        elif self._head != conditions:
            old, new = structs.asdict(self._head), structs.asdict(conditions)
            others = ", ".join(_NAMES.get(name, f"--{name}") for name in new if old[name] != new[name])
            text = f"{self.path} holds answers of a run with another {others}; give the same again, or delete the file"
            raise UsageError(text)

    def section(self, name: str) -> Once:
        """Return what keeps the answers of one section; the same key may stand in several."""

        async def once(key: str, work: Work) -> Kept:
            return await self._once(f"{name}: {key}", work)

        return once

    async def _once(self, key: str, work: Work) -> Kept:
        earlier = self._by_key.get(key)
        if earlier is not None:
            self.taken += 1
            return earlier
        found = await work()
        if found.judgement.status in _LASTING:
            self._write((key, found))
            self.written += 1
        return found

    def _write(self, line: object) -> None:
        """Append a line; after half a line nothing more is written, so that the rest can be read."""
        raw = msgspec.json.encode(line) + b"\n"
        try:
            if self._file.write(raw) == len(raw):
                return
            reason = "no room for a whole line"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "closed"
        self._file.close()
        text = f"{self.path} cannot be written ({reason}); make room, then go on with --resume"
        raise TrainError(text)

    def close(self) -> None:
        """Let go of the file; it stays."""
        self._file.close()


@contextmanager
def journal(folder: Path, *, resume: bool, say: Callable[[str], None]) -> Iterator[Journal]:
    """Keep the answers of a run until it is done, and say how to go on if it is cut off.

    Raises:
        UsageError: another process writes there, it has answers and none are asked for, or it cannot be opened.

    """
    made = Journal(folder, resume=resume)
    if resume:
        say(f"goes on with {made.earlier} answers of {made.path}" if made.earlier else f"{made.path} has none; begins")
    is_done = False
    try:
        yield made
        is_done = True
    finally:
        kept = made.earlier + made.written
        if is_done or not kept:
            made.path.unlink(missing_ok=True)
        else:
            say(f"cut off: {made.path} has {kept} answers, and may quote messages; go on with --resume, or delete it")
        made.close()


def _locked(path: Path) -> FileIO:
    """Open the file for appending, alone, and make it readable for its owner alone.

    Raises:
        UsageError: another process has it.
        OSError: it cannot be opened.

    """
    file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE), "ab")
    try:
        hold(file, UsageError(f"another 'rsafe eval' writes to {path}; wait for it, or choose another --out"))
    except UsageError:
        file.close()
        raise
    os.fchmod(file.fileno(), _MODE)
    return file


def _whole_lines(path: Path) -> list[bytes]:
    """Return every line that was written to its end."""
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _read(path: Path, lines: list[bytes]) -> tuple[Conditions | None, dict[str, Kept]]:
    try:
        head = msgspec.json.decode(lines[0], type=Conditions) if lines else None
        return head, dict(msgspec.json.decode(line, type=tuple[str, Kept]) for line in lines[1:])
    except UNREADABLE as error:
        text = f"{path} is no file of answers that this version can read ({error}); delete it to begin anew"
        raise UsageError(text) from None
