"""How much the worker holds in memory at once, over all tenants and partitions. Pure but for the event."""

from __future__ import annotations

import asyncio
from typing import Final

from worker.config import Settings
from worker.stream.room import Room

MIB: Final = 1024 * 1024


class Buffer:
    """Counts messages from the moment they are read until their outcome is published.

    Attributes:
        messages: how many are held.
        bytes: about what they take.
        changed: set whenever something is given back.

    """

    def __init__(self, settings: Settings) -> None:
        """Start empty."""
        self._most_messages = settings.buffer_messages
        self._most_bytes = settings.buffer_mib * MIB
        self.messages = 0
        self.bytes = 0
        self.changed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether intake must wait."""
        return self.messages >= self._most_messages or self.bytes >= self._most_bytes

    @property
    def room(self) -> int:
        """How many more messages may be read."""
        return 0 if self.full else self._most_messages - self.messages

    def free(self, *, over: float = 0.0) -> Room:
        """Return what is left where as large a share of the whole may be held beyond it."""
        messages = int(self._most_messages * (1 + over)) - self.messages
        size_bytes = int(self._most_bytes * (1 + over)) - self.bytes
        return Room(messages, size_bytes) if size_bytes > 0 else Room(0, 0)

    def take(self, size_bytes: int) -> None:
        """Count a message in."""
        self.messages += 1
        self.bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Count a message out."""
        self.messages -= 1
        self.bytes -= size_bytes
        self.changed.set()
