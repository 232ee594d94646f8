"""Outcomes into Kafka: the trace, then the verdict or the dead letter, to the source's partition number.

Each partition has a queue and, while there is something in it, one task that empties it. Within a
partition outcomes complete in the order in which they were written; the ledger's bounds rely on that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

from worker.errors import OutputTooLarge
from worker.stream.delivery import Delivery
from worker.stream.ledger import OUTCOME_TOPICS, OutcomeTopic, Place
from worker.stream.outputs import dead_letter_of, without_texts
from worker.stream.state import State
from worker.stream.tasks import spawn
from worker.stream.work import Outcome, Row, held_bytes
from worker.topics import catalogue

logger: Final = logging.getLogger(__name__)
#: Outcomes written in one go; more than fill a batch do not help.
_MOST_AT_ONCE: Final = 1000
#: Wait before a dead letter that Kafka refuses is tried again; only an operator can help.
_REFUSED_S: Final = 1.0
#: What a batch of one row takes beside key, value and headers, generously.
_ENVELOPE_BYTES: Final = 1024


class Publisher:
    """Queues outcomes, publishes them, and completes their offsets."""

    def __init__(self, state: State, delivery: Delivery) -> None:
        """Start empty; ``delivery`` writes the rows."""
        self._state = state
        self._settings = state.settings
        self._metrics = state.metrics
        self._delivery = delivery
        self._linger_s = state.settings.linger_ms / 1000
        # What is being published stays in its queue until it is settled.
        self._queues: dict[int, deque[Outcome]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._limits = {
            spec.name: int(spec.settings["max.message.bytes"]) - _ENVELOPE_BYTES
            for spec in catalogue(state.settings.topic_prefix)
        }

    def submit(self, outcome: Outcome) -> None:
        """Queue an outcome; returns at once."""
        partition = outcome.ledger.partition
        self._queues.setdefault(partition, deque()).append(outcome)
        if partition not in self._tasks:
            self._tasks[partition] = spawn(self._empty(partition), self._state.fail)

    async def drained(self, partitions: Collection[int]) -> None:
        """Wait until nothing of these partitions is left to publish."""
        while tasks := [task for partition, task in self._tasks.items() if partition in partitions]:
            await asyncio.wait(tasks)

    async def abandon(self) -> None:
        """Drop everything that is not acknowledged; whoever owns the partitions next judges it again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await self._delivery.abandon()
            await asyncio.wait(tasks)
        # One that was cancelled before it began has not taken itself out.
        self._tasks.clear()
        for queue in self._queues.values():
            while queue:
                self._settle(queue.popleft())

    async def _empty(self, partition: int) -> None:
        """Publish a partition's queue until nothing is left."""
        queue = self._queues[partition]
        try:
            while queue:
                if len(queue) < _MOST_AT_ONCE:
                    await asyncio.sleep(self._linger_s)
                outcomes = list(islice(queue, _MOST_AT_ONCE))
                refused = await self._publish(partition, outcomes)
                for _ in outcomes:
                    self._settle(queue.popleft())
                for outcome in refused:
                    self._state.buffer.take(held_bytes(outcome.record))
                    queue.append(outcome)
                if any(outcome in outcomes for outcome in refused):
                    self._metrics.limits_reached.labels("dead_letter").inc()
                    await asyncio.sleep(_REFUSED_S)
        finally:
            self._tasks.pop(partition, None)

    async def _publish(self, partition: int, outcomes: list[Outcome]) -> list[Outcome]:
        """Write outcomes; return what is to be published in place of those that Kafka refused."""
        await self._state.protection.published()
        self._state.check_stall()
        traces = [outcome.trace for outcome in _kept(outcomes) if outcome.trace is not None]
        await self._write_traces(partition, traces)
        refused: list[Outcome] = []
        for topic in OUTCOME_TOPICS:
            self._state.check_stall()
            # The partition may have been given away meanwhile: what is written then could be a double.
            chosen = [outcome for outcome in _kept(outcomes) if outcome.topic == topic]
            refused += await self._write(partition, topic, chosen)
        return refused

    async def _write_traces(self, partition: int, rows: list[Row]) -> None:
        """Write traces; those above the topic's limit go without their texts."""
        topic = self._settings.topic("traces")
        large = [row for row in rows if not self._fits(topic, row)]
        fitting = [row for row in rows if row not in large] if large else rows
        positions = await self._delivery.write(topic, partition, fitting)
        large += [row for row, position in zip(fitting, positions, strict=True) if position is None]
        if large:
            self._metrics.redacted_traces.inc(len(large))
            await self._delivery.write(topic, partition, [without_texts(row) for row in large])

    async def _write(self, partition: int, topic: OutcomeTopic, outcomes: list[Outcome]) -> list[Outcome]:
        name = self._settings.topic(topic)
        refused = [self._instead(outcome, name) for outcome in outcomes if not self._fits(name, outcome.row)]
        fitting = [outcome for outcome in outcomes if self._fits(name, outcome.row)] if refused else outcomes
        positions = await self._delivery.write(name, partition, [outcome.row for outcome in fitting])
        for outcome, position in zip(fitting, positions, strict=True):
            if position is None:
                refused.append(self._instead(outcome, name))
            elif outcome.ledger.complete(outcome.record.offset, Place(topic, position)):
                self._count(outcome)
        return refused

    def _fits(self, topic: str, row: Row) -> bool:
        """Tell whether a row is surely below the topic's limit as we make it."""
        limit = self._limits[topic]
        return len(row.value or b"") * 2 < limit or _size_bytes(row) <= limit

    def _count(self, outcome: Outcome) -> None:
        counter = self._metrics.verdicts if outcome.topic == "verdicts" else self._metrics.dead_letters
        counter.labels(*outcome.labels).inc()
        if outcome.suppressed:
            self._metrics.suppressions.inc()

    def _instead(self, outcome: Outcome, topic: str) -> Outcome:
        """Return what is published where Kafka refused an outcome: a dead letter, or the same again."""
        offset = outcome.record.offset
        if outcome.topic == "dead-letters":
            logger.error(
                "dead letter of offset %d is above the limit of %s; raise its max.message.bytes", offset, topic
            )
            return outcome
        error = OutputTooLarge(f"the verdict is above max.message.bytes of {topic}")
        return dead_letter_of(outcome.record, outcome.ledger, "publish", error, protect=self._state.protection)

    def _settle(self, outcome: Outcome) -> None:
        if outcome.ledger.closed:
            self._metrics.epoch_drops.inc()
        self._state.buffer.give(held_bytes(outcome.record))


def _size_bytes(row: Row) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in row.headers)
    return len(row.key or b"") + len(row.value or b"") + headers


def _kept(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not outcome.ledger.closed]
