"""Waiting longer after each failure."""

from __future__ import annotations

import asyncio
import contextlib
import random


class Backoff:
    """Doubles its wait up to a limit, with jitter so that workers do not come back all at once."""

    def __init__(self, *, first_s: float = 0.1, most_s: float = 5.0) -> None:
        """Start with the shortest wait."""
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    async def wait(self, ended: asyncio.Event | None = None) -> None:
        """Sleep once, or until ``ended``; the next time twice as long."""
        wait_s = self._next_s * random.uniform(0.75, 1.25)
        self._next_s = min(self._most_s, 2 * self._next_s)
        if ended is None:
            await asyncio.sleep(wait_s)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), wait_s)

    def reset(self) -> None:
        """Forget the failures."""
        self._next_s = self._first_s
