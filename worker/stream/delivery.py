"""Rows into a partition of a topic, in order, through a producer that is replaced when it breaks.

aiokafka's idempotent producer does not recover from a refused batch: every later send on that
partition fails. So a refusal ends the producer. Before the next one starts, everything that the old
one still had on its way is awaited: a batch whose fate is unknown must not be written again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from aiokafka.errors import KafkaTimeoutError

from worker import kafka
from worker.backoff import Backoff
from worker.config import Settings
from worker.errors import BrokerAway, ConfigError, OutputTooLarge, PublishFailed, TopicMissing
from worker.kafka_errors import translated
from worker.kafka_fence import fence
from worker.metrics import Metrics
from worker.stream.ledger import UNKNOWN_POSITION
from worker.stream.work import Row

logger: Final = logging.getLogger(__name__)
#: Uncompressed size of one batch; a larger row still goes, in a batch of its own.
MAX_BATCH_BYTES: Final = 1024 * 1024
_CLOSE_S: Final = 5.0


class Delivery:
    """The worker's one way to write outcomes.

    Attributes:
        trouble: why the last send failed; none once one succeeds, or once nothing is to be written any more.

    """

    def __init__(self, settings: Settings, metrics: Metrics, must_not_send: Callable[[], bool] | None = None) -> None:
        """Connect nothing yet; the first write does.

        ``must_not_send`` is asked before each request goes out, see ``kafka_fence``.
        """
        self._settings = settings
        self._must_not_send = must_not_send
        self._metrics = metrics
        self._producer: Any = None
        self._changing = asyncio.Lock()
        self._sending: dict[int, float] = {}
        self._sends = 0
        self._writers = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.trouble: str | None = None

    @property
    def waiting_s(self) -> float:
        """How long the oldest send has been on its way."""
        return time.monotonic() - min(self._sending.values()) if self._sending else 0.0

    async def close(self, timeout_s: float) -> None:
        """End the producer; what it still holds gets ``timeout_s`` to arrive."""
        if self._producer is not None:
            await kafka.close(self._producer, timeout_s)

    async def abandon(self) -> None:
        """End the producer at once; what it still holds is not sent. The next write makes another one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await kafka.kill(producer)

    async def write(self, topic: str, partition: int, rows: Sequence[Row]) -> list[int | None]:
        """Write rows in order.

        Trying goes on until it is done or cancelled. While Kafka is away a batch stays with the
        producer, which tries again by itself; there is no deadline, because a batch that was given
        up on and arrives after all would be doubled.

        Returns:
            The position of each row; -1 where the broker no longer knows it, none for a row that is
            above the topic's limit and was not written.

        """
        self._writers += 1
        try:
            return await self._written(topic, partition, rows)
        finally:
            self._writers -= 1
            # Intake waits for trouble to end, and what was given away is written by nobody here: it would never end.
            if not self._writers:
                self.trouble = None

    async def _written(self, topic: str, partition: int, rows: Sequence[Row]) -> list[int | None]:
        done: list[int | None] = []
        limit = len(rows)
        backoff = Backoff()
        while len(done) < len(rows):
            producer = await self.connected()
            batch, count = _pack(producer, islice(rows, len(done), len(done) + limit))
            try:
                base = await self._send(producer, batch, topic, partition)
            except OutputTooLarge as error:
                await self._fail(producer, error)
                limit = max(1, count // 2)
                if count == 1:
                    done.append(None)
            except (PublishFailed, TopicMissing, ConfigError) as error:
                await self._fail(producer, error)
                await backoff.wait()
            else:
                done += [UNKNOWN_POSITION] * count if base < 0 else range(base, base + count)
                self.trouble = None
        return done

    async def connected(self) -> Any:
        """Return a connected producer, however long that takes."""
        async with self._changing:
            backoff = Backoff()
            while self._producer is None:
                try:
                    producer = kafka.make_producer(self._settings, max_batch_size=MAX_BATCH_BYTES)
                    await kafka.start(producer, self._settings)
                except (BrokerAway, ConfigError) as error:
                    self.trouble = str(error)
                    await backoff.wait()
                else:
                    if self._must_not_send is not None:
                        fence(producer, self._must_not_send)
                    self._producer = producer
            return self._producer

    async def _send(self, producer: Any, batch: Any, topic: str, partition: int) -> int:
        """Send a batch and return the position of its first row, or -1."""
        self._sends += 1
        ticket = self._sends
        self._sending[ticket] = time.monotonic()
        self._quiet.clear()
        try:
            with translated(f"publishing to {topic}/{partition}", sending=True):
                await _check_partition(producer, topic, partition)
                acknowledged = await producer.send_batch(batch, topic, partition=partition)
                return int((await acknowledged).offset)
        finally:
            del self._sending[ticket]
            if not self._sending:
                self._quiet.set()

    async def _fail(self, producer: Any, error: Exception) -> None:
        """Note a failure; end the producer unless it never had the batch."""
        self._metrics.publish_failures.labels(type(error).__name__).inc()
        self.trouble = str(error)
        logger.warning("%s", error)
        if isinstance(error, TopicMissing) or isinstance(error.__cause__, KafkaTimeoutError):
            return
        async with self._changing:
            if self._producer is producer:
                await self._quiet.wait()
                await kafka.close(producer, _CLOSE_S)
                self._producer = None
                self._metrics.producer_replacements.inc()


async def _check_partition(producer: Any, topic: str, partition: int) -> None:
    """Refuse a partition that does not exist; aiokafka would fail an assertion."""
    if partition not in await producer.partitions_for(topic):
        await producer.client.force_metadata_update()
        text = f"{topic} has no partition {partition}; run 'rsafe topics create --partitions N'"
        raise TopicMissing(text)


def _pack(producer: Any, rows: Iterable[Row]) -> tuple[Any, int]:
    """Put as many rows as fit into a closed batch; a closed one does not linger in the producer."""
    batch = producer.create_batch()
    count = 0
    for row in rows:
        if batch.append(timestamp=None, key=row.key, value=row.value, headers=row.headers) is None:
            break
        count += 1
    batch.close()
    return batch, count
