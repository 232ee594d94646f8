"""What a target is: a parser, its seeds, and how bytes become what it takes. No import of the program."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

#: Stands between the parts of an input for parsers that take more than one: key and value, name and file.
SPLIT: Final = b"\n%%\n"
MESSAGES: Final = "moderation.messages"


class Target(NamedTuple):
    """One parser under fire.

    Attributes:
        name: on the command line and in the table.
        about: what comes in here, for people.
        run: takes any bytes and returns; raises only where something is wrong with the program.
        seeds: inputs to start from.
        share: of the inputs of a run, beside the other targets'; less for what is slow by its nature.

    """

    name: str
    about: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    share: float = 1.0


def parts(data: bytes, count: int) -> list[bytes]:
    """Cut an input into ``count`` parts; those that are missing are empty."""
    found = data.split(SPLIT, count - 1)
    return found + [b""] * (count - len(found))


def joined(*pieces: bytes) -> bytes:
    """Return an input of several parts."""
    return SPLIT.join(pieces)


def text(data: bytes) -> str:
    """Return text as Python reads a command line: any bytes, those that are no UTF-8 as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def headers_of(data: bytes) -> list[tuple[str, bytes | None]]:
    """Read headers from lines ``name=value``; a line without a sign is a name whose value is null."""
    found: list[tuple[str, bytes | None]] = []
    for line in data.split(b"\n"):
        name, equals, value = line.partition(b"=")
        if line:
            found.append((text(name), value if equals else None))
    return found


def record(value: bytes | None, key: bytes | None = b"key", headers: Any = (), **fields: Any) -> Any:
    """Return what a consumer gives for a record, as far as our readers look at it."""
    place = {"topic": MESSAGES, "partition": 3, "offset": 17, "timestamp": 1_700_000_000_000}
    return SimpleNamespace(key=key, value=value, headers=tuple(headers), **{**place, **fields})


def as_file(data: bytes, name: str = "input") -> Path:
    """Put bytes into a file of this process, which goes when it ends."""
    path = _folder(os.getpid()) / name
    path.write_bytes(data)
    return path


@cache
def _folder(_process: int) -> Path:
    path = Path(tempfile.mkdtemp(prefix="rsafe-fuzz-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
