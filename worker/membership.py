"""Standing in a consumer group for as long as the process lives, whatever Kafka does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from worker.errors import WorkerError

logger: Final = logging.getLogger(__name__)

_RETRY_S: Final = 2.0


class Membership:
    """Joins a group in the background, again and again while Kafka is away."""

    def __init__(self, purpose: str, member: Callable[[], Awaitable[None]]) -> None:
        """Hold what a member does; nothing connects yet.

        Args:
            purpose: for the log, as in "refusing exceptions".
            member: joins, and does its part until something fails.

        """
        self._purpose = purpose
        self._member = member
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    async def start(self) -> None:
        """Join in the background."""
        self._task = asyncio.create_task(self._stand())

    async def stop(self) -> None:
        """Leave the group. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _stand(self) -> None:
        while True:
            try:
                await self._member()
            except WorkerError as error:
                self._say(str(error))
                await asyncio.sleep(_RETRY_S)

    def _say(self, trouble: str) -> None:
        """Log what keeps this process from it, once for each reason in a row."""
        if trouble != self._trouble:
            logger.warning("%s: %s", self._purpose, trouble)
        self._trouble = trouble
