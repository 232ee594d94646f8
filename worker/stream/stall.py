"""Notices that this process stood still: stopped by a signal, a frozen host, a blocked loop. Pure.

A group gives up a member that is silent for a session, and another one takes its partitions and reads
back what is published. A process that wakes up after that does not know it yet; what it publishes
then would be doubles. So whoever is about to publish asks here first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Time between two beats; a far smaller part of any session.
BEAT_S: Final = 0.25


class StallGuard:
    """Compares the clock with the last beat of the loop."""

    def __init__(self, session_timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take half a session as the limit; the other half is for what happens before the first check."""
        self._limit_s = session_timeout_s / 2
        self._clock = clock
        self._beat_s = clock()

    def stalled_s(self) -> float:
        """Return for how long the loop stood still, or 0.0 if that is no reason to worry."""
        silent_s = self._clock() - self._beat_s
        return silent_s if silent_s > self._limit_s else 0.0

    def beat(self) -> None:
        """Note that the loop turns."""
        self._beat_s = self._clock()
