"""Records that are sent in the background, so that following policies never waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from worker import kafka
from worker.config import Settings
from worker.errors import OutputTooLarge, WorkerError
from worker.metrics import Metrics

logger: Final = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 10.0
_FLUSH_S: Final = 2.0
_CLOSE_S: Final = 1.0


class Outgoing(Struct, frozen=True, kw_only=True):
    """A record on its way; ``partition`` is null where the key decides."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    partition: int | None = None


class Outbox:
    """Sends what is put into it, in order, again and again until Kafka has it.

    At most ``limit`` records wait; beyond that the oldest are dropped; log and metrics say so. A record
    whose acknowledgement was lost may arrive twice.
    """

    def __init__(self, settings: Settings, limit: int, metrics: Metrics | None = None) -> None:
        self._settings = settings
        self._limit = limit
        self._metrics = metrics
        self._waiting: deque[Outgoing] = deque()
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()
        self._task: asyncio.Task[None] | None = None

    def put(self, outgoing: Outgoing) -> None:
        """Send a record soon."""
        if len(self._waiting) >= self._limit:
            dropped = self._waiting.popleft()
            logger.warning("a record for %s is dropped: %d wait already", dropped.topic, self._limit)
            if self._metrics is not None:
                self._metrics.limits_reached.labels("outbox").inc()
        self._waiting.append(outgoing)
        self._none.clear()
        self._some.set()

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Give what waits a moment to leave, then end. Safe to call twice."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), _FLUSH_S)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            await self._some.wait()
            before = len(self._waiting)
            try:
                await self._send_all()
            except WorkerError as error:
                logger.warning("%d records wait: %s", len(self._waiting), error)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S) if len(self._waiting) >= before else _FIRST_WAIT_S
                await asyncio.sleep(wait_s)

    async def _send_all(self) -> None:
        """Send until something fails: a producer is not used after a failed send."""
        async with kafka.writer(self._settings, linger_ms=0, close_s=_CLOSE_S) as producer:
            while True:
                await self._some.wait()
                while self._waiting:
                    await self._send(producer, self._waiting[0])
                self._some.clear()
                self._none.set()

    async def _send(self, producer: kafka.Client, outgoing: Outgoing) -> None:
        try:
            await kafka.send(
                producer,
                outgoing.topic,
                outgoing.value,
                key=outgoing.key,
                headers=outgoing.headers,
                partition=outgoing.partition,
                timeout_s=self._settings.kafka_timeout_s,
            )
        except OutputTooLarge:
            self._done(outgoing)
            raise
        self._done(outgoing)

    def _done(self, outgoing: Outgoing) -> None:
        # A full box may have dropped it in the meantime.
        if self._waiting and self._waiting[0] is outgoing:
            self._waiting.popleft()
