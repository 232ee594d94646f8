"""A lock file as data. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

#: The locks that images are built from, by the name of what they are for.
LOCKS: Final = {"cpu": "deploy/cpu.lock", "gpu": "deploy/gpu.lock"}
#: What everything else is installed with.
BOOTSTRAP: Final = "deploy/bootstrap.lock"
_ENTRY: Final = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? \\$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Pin(Struct, frozen=True):
    """One distribution in one version.

    Attributes:
        name: normalised, as the lock has it.
        version: the exact one.
        marker: on which platforms it is installed; empty for all.
        sha256: digests of every file that may be installed, in hex.

    """

    name: str
    version: str
    marker: str
    sha256: tuple[str, ...]


def pins(text: str) -> Iterator[Pin]:
    """Yield the pins of a lock in its order."""
    head: re.Match[str] | None = None
    digests: list[str] = []
    for line in text.splitlines():
        if entry := _ENTRY.match(line):
            if head is not None:
                yield _pin(head, digests)
            head, digests = entry, []
        digests += _HASH.findall(line)
    if head is not None:
        yield _pin(head, digests)


def _pin(head: re.Match[str], digests: list[str]) -> Pin:
    return Pin(head["name"], head["version"], head["marker"] or "", tuple(digests))
