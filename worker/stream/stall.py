"""Notices that this process stood still (stopped by a signal, a frozen host, a blocked loop), or is cut off. Pure.

A group gives up a member that is silent for a session, and another one takes its partitions and reads
back what is published. A process that wakes up after that does not know it yet; what it publishes
then would be doubles. So whoever is about to publish asks here first.

A worker whose network is cut runs on and is given up all the same, so the group's silence counts too. What was on
the wire by then is beyond anybody's reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Time between two beats; a far smaller part of any session.
BEAT_S: Final = 0.25
#: The group's silence that counts, as a part of the session: it gives a member up no earlier than after all of it,
#: and several heartbeats have gone without an answer by then.
_SILENT_PART: Final = 0.75


class StallGuard:
    """Compares the clock with the last beat of the loop, and with the group's last answer."""

    def __init__(self, session_timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take half a session as the limit; the other half is for what happens before the first check."""
        self._limit_s = session_timeout_s / 2
        self._silent_limit_s = session_timeout_s * _SILENT_PART
        self._heard_s: float | None = None
        self._clock = clock
        self._beat_s = clock()

    def stalled_s(self) -> float:
        """Return for how long the loop stood still, or 0.0 if that is no reason to worry."""
        silent_s = self._clock() - self._beat_s
        return silent_s if silent_s > self._limit_s else 0.0

    def beat(self) -> None:
        """Note that the loop turns."""
        self._beat_s = self._clock()

    def silent_s(self) -> float:
        """Return for how long the group has not answered this member, or 0.0 if that is no reason to worry."""
        silent_s = 0.0 if self._heard_s is None else self._clock() - self._heard_s
        return silent_s if silent_s > self._silent_limit_s else 0.0

    def joined(self) -> None:
        """Note that the group has given partitions to this worker."""
        self._heard_s = self._clock()

    def heard(self, asked_s: float) -> None:
        """Note that the group has answered a heartbeat; the time counts at which it was asked, by this clock."""
        if self._heard_s is not None:
            self._heard_s = asked_s

    def left(self) -> None:
        """Note that this worker holds no partitions, so that the group's silence means nothing."""
        self._heard_s = None
