"""How much still fits somewhere, by count and by bytes. Pure."""

from __future__ import annotations


class Room:
    """What is free of a bounded place. What is larger than the whole of it fits where all of it is free.

    Attributes:
        messages: how many more fit.
        free_bytes: how many more bytes fit.
        whole_bytes: how many fit where nothing is.

    """

    __slots__ = ("free_bytes", "messages", "whole_bytes")

    def __init__(self, messages: int, whole_bytes: int) -> None:
        """Begin with nothing in it."""
        self.messages = messages
        self.free_bytes = self.whole_bytes = whole_bytes

    def fits(self, size_bytes: int) -> bool:
        """Tell whether one more message fits."""
        return self.messages > 0 and min(size_bytes, self.whole_bytes) <= self.free_bytes

    def take(self, size_bytes: int) -> None:
        """Note that a message is in it now."""
        self.messages -= 1
        self.free_bytes -= size_bytes

    def copy(self) -> Room:
        """Return the same room, to be filled in thought."""
        copied = Room(self.messages, self.whole_bytes)
        copied.free_bytes = self.free_bytes
        return copied

    def give(self, size_bytes: int) -> None:
        """Note that a message left it."""
        self.messages += 1
        self.free_bytes += size_bytes
