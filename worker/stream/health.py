"""What a worker says of itself: is it alive, is it ready, and if not, why."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from worker.records import Rung

#: Silence of the main loop after which the worker counts as dead. Building an engine blocks the loop for
#: half a minute and more, and that must not look like death.
STALL_LIMIT_S: Final = 180.0


class Health:
    """Stage, heartbeat and reasons of one worker. Read from the web server's thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start as alive and not ready; ``clock`` gives seconds that never go back."""
        self._clock = clock
        self._beat_s = clock()
        self._reasons: Callable[[], list[str]] = lambda: ["starting"]
        self._overload: Callable[[], Mapping[Rung, int]] = dict

    def entering(self, stage: str) -> None:
        """Name what the worker is busy with before it runs."""
        self._reasons = lambda: [stage]

    def running(self, reasons: Callable[[], list[str]], overload: Callable[[], Mapping[Rung, int]] = dict) -> None:
        """Ask these from now on why the worker is not ready, and how many tenants are at each overload rung."""
        self._reasons = reasons
        self._overload = overload

    def stopping(self) -> None:
        """Be not ready until the end."""
        self._reasons = lambda: ["stopping"]

    def unready(self) -> list[str]:
        """Return why no messages are judged now; empty means ready."""
        return self._reasons()

    def readiness(self) -> dict[str, Any]:
        """Return what /readyz says: why the worker is not ready, and the tenants at each rung where any is declared."""
        reasons, overload = self.unready(), dict(self._overload())
        state = {"ready": not reasons, "reasons": reasons}
        return state | ({"overload": overload} if overload else {})

    def beat(self) -> None:
        """Note that the main loop turns."""
        self._beat_s = self._clock()

    def alive(self) -> bool:
        """Tell whether the main loop turned lately."""
        return self._clock() - self._beat_s < STALL_LIMIT_S
