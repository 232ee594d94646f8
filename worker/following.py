"""Following a topic for ever: read afresh after each failure, later each time, and say why meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from worker.backoff import Backoff
from worker.errors import BrokerAway, Disposition, WorkerError
from worker.outline import placed

logger: Final = logging.getLogger(__name__)

_STOP_WAIT_S: Final = 1.0
#: Polls without an answer, a quarter of a second each, after which everything is read afresh: the
#: topic may have been deleted and made again, and then positions mean nothing.
_SILENT_POLLS: Final = 20


class Follower:
    """Runs a reader of a topic, again after each failure that may pass."""

    def __init__(self, what: str, follow: Callable[[], Awaitable[None]]) -> None:
        """Hold the reader; it does not run yet.

        Args:
            what: what is followed, for logs and errors, in the plural: ``policies``.
            follow: reads everything afresh, calls ``caught_up``, and goes on until ``stopping`` or an error.

        """
        self._what = what
        self._follow = follow
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._backoff = Backoff(first_s=0.2)
        self._silent_polls = 0
        self.current_at_s: float | None = None
        """When everything in the topic was last known here (monotonic; None before)."""
        self.trouble: str | None = None
        """Why the topic cannot be followed right now, for whoever asks why the worker waits."""

    @property
    def stopping(self) -> bool:
        """Whether the reader is to come to its end."""
        return self._stopping.is_set()

    async def start(self) -> None:
        """Run the reader in the background, and wait until it has caught up for the first time.

        Raises:
            WorkerError: it failed for a reason that does not pass.

        """
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._say_why)
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop following, in bounded time. Safe to call twice."""
        self._stopping.set()
        if self._task is not None:
            # Ends by itself after the poll in progress, which must not be cancelled.
            await asyncio.wait({self._task}, timeout=_STOP_WAIT_S)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, WorkerError):
                await self._task

    def age_s(self) -> float:
        """Seconds since everything in the topic was last known here (infinite before)."""
        return float("inf") if self.current_at_s is None else time.monotonic() - self.current_at_s

    def caught_up(self) -> None:
        """Note that the topic was read to its end."""
        self.current_at_s = time.monotonic()
        self.trouble = None
        self._silent_polls = 0
        self._backoff.reset()
        self._ready.set()

    def polled(self, *, answered: bool, found: bool) -> None:
        """Note a poll: whether Kafka answered for all of the topic, and whether anything was new.

        Raises:
            BrokerAway: there was neither for some seconds.

        """
        if answered:
            self.current_at_s = time.monotonic()
        self._silent_polls = 0 if answered or found else self._silent_polls + 1
        if self._silent_polls >= _SILENT_POLLS:
            text = f"the topic of {self._what} does not answer; is Kafka running, and does the topic exist?"
            raise BrokerAway(text)

    async def _run(self) -> None:
        while not self.stopping:
            try:
                await self._follow()
            except WorkerError as error:
                self.trouble = str(error)
                if error.disposition is not Disposition.RETRY:
                    raise
                logger.warning("%s: %s", self._what, error)
                await self._backoff.wait(self._stopping)

    def _say_why(self, task: asyncio.Task[None]) -> None:
        """Log what ended the reader; from then on what is known only gets older, and intake stops."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.critical("%s are no longer followed: %s", self._what, placed(error))
