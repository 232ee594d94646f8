"""Notices an engine that has work and makes no steps. No engine library, no processes.

What counts is steps, not answers: a long prompt takes many steps before its first token, and a full
queue waits its turn; both are well. Time counts only while this process runs too: it is added up in
small ticks, so that a stop of the whole process (SIGSTOP, a paused machine) or a blocked loop is not
taken for a hung engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

#: A tick that comes much later than asked for counts as this many ticks at most.
_LATE_TICKS: Final = 2.0
_MAX_TICK_S: Final = 1.0
_TICKS_PER_TIMEOUT: Final = 10


class Watchdog:
    """Adds up the time without a step while there is work, and calls ``on_stall`` once it is too long."""

    def __init__(self, timeout_s: float, on_stall: Callable[[], None]) -> None:
        """Watch nothing yet; ``run`` does."""
        self._timeout_s = timeout_s
        self._on_stall = on_stall
        self._tick_s = min(_MAX_TICK_S, timeout_s / _TICKS_PER_TIMEOUT)
        self._active = 0
        self._quiet_s = 0.0

    @property
    def quiet_s(self) -> float:
        """Seconds without a step although there was work."""
        return self._quiet_s

    def began(self) -> None:
        """Note that the engine has one more call to work on."""
        self._active += 1

    def ended(self) -> None:
        """Note that one call is over."""
        self._active -= 1
        self.stepped()

    def stepped(self) -> None:
        """Note that the engine made a step."""
        self._quiet_s = 0.0

    def tick(self, elapsed_s: float) -> bool:
        """Add the time since the last tick; return whether the engine counts as hung."""
        if self._active:
            self._quiet_s += min(elapsed_s, self._tick_s * _LATE_TICKS)
        else:
            self._quiet_s = 0.0
        return self._quiet_s >= self._timeout_s

    async def run(self) -> None:
        """Tick until the engine hangs; then call ``on_stall`` and end."""
        loop = asyncio.get_running_loop()
        last_s = loop.time()
        while True:
            await asyncio.sleep(self._tick_s)
            now_s = loop.time()
            if self.tick(now_s - last_s):
                self._on_stall()
                return
            last_s = now_s
