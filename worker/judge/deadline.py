"""A deadline that does not blame a message for a hung engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from worker.errors import RequestTimeout

#: The engine must have made a step within this share of the time allowed for its deadline to count.
_QUIET_SHARE: Final = 0.1
_LOOK_AGAIN_S: Final = 0.5


@asynccontextmanager
async def deadline(timeout_s: float, quiet_s: Callable[[], float]) -> AsyncIterator[None]:
    """Cancel the body when its time is up and the engine works.

    While the engine makes no steps the body is left alone: either the engine goes on, and the
    deadline strikes then, or it is declared dead, and the message is judged again by another process.

    Args:
        timeout_s: time allowed.
        quiet_s: tells for how long the engine has made no step.

    Raises:
        RequestTimeout: the time was up.

    """
    try:
        async with asyncio.timeout(None) as scope:
            alarm = _Alarm(scope, timeout_s, quiet_s)
            try:
                yield
            finally:
                alarm.handle.cancel()
    except TimeoutError:
        text = f"not judged within {timeout_s:g} s; raise request_timeout_s or add workers"
        raise RequestTimeout(text) from None


class _Alarm:
    """Strikes when the time is up, or as soon after that as the engine makes a step."""

    def __init__(self, scope: asyncio.Timeout, timeout_s: float, quiet_s: Callable[[], float]) -> None:
        self._scope = scope
        self._patience_s = timeout_s * _QUIET_SHARE
        self._quiet_s = quiet_s
        self._loop = asyncio.get_running_loop()
        self.handle = self._loop.call_later(timeout_s, self._strike)

    def _strike(self) -> None:
        if self._quiet_s() > self._patience_s:
            self.handle = self._loop.call_later(_LOOK_AGAIN_S, self._strike)
        else:
            self._scope.reschedule(self._loop.time())
