"""Where verdicts ask for exceptions."""

from __future__ import annotations

from typing import Protocol

from worker.exceptions.accept import Accepted
from worker.records import Message


class ExceptionSource(Protocol):
    """The exceptions that are known right now."""

    def matching(self, message: Message, time_ms: int) -> tuple[Accepted, ...]:
        """Return the exceptions that a message of a time falls under, in Kafka's milliseconds."""

    def stale(self) -> bool:
        """Tell whether the source has been silent for so long that an exception may have ended meanwhile."""


class NoExceptions:
    """An ``ExceptionSource`` without any."""

    def matching(self, message: Message, time_ms: int) -> tuple[Accepted, ...]:  # noqa: ARG002  (the protocol's form)
        """Return none."""
        return ()

    def stale(self) -> bool:
        """Return that nothing can be old."""
        return False
