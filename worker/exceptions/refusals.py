"""Records of ``exceptions`` that allow nothing go to ``dead-letters``, once, with field and cure.

Every worker comes to the same answer about a record, so only one of them has to say it: the member of a
group of its own on the topic that has the record's partition. What was said is committed there, so a
restart says nothing twice; a crash in between may.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition

from worker import dead_letter, kafka
from worker.config import Settings
from worker.errors import ExceptionInvalid
from worker.exceptions.accept import Accepted, Incoming, accept
from worker.exceptions.cover import floor_ids, is_void
from worker.exceptions.fingerprint import Fingerprinter
from worker.exceptions.log import incoming
from worker.kafka_errors import translated
from worker.membership import Membership
from worker.metrics import Metrics
from worker.policy.source import PolicySource
from worker.records import Source

_POLL_MS: Final = 200
_CLOSE_S: Final = 2.0


class Refusals:
    """Reads what its group gives it, and says what is wrong with it."""

    def __init__(
        self, settings: Settings, fingerprinter: Fingerprinter | None, policies: PolicySource, metrics: Metrics
    ) -> None:
        """Hold the parts; nothing connects yet."""
        self._settings = settings
        self._key_id = fingerprinter.key_id if fingerprinter else None
        self._policies = policies
        self._metrics = metrics
        self._membership = Membership("refusing exceptions", self._member)

    async def start(self) -> None:
        """Join the group in the background, again and again while Kafka is away."""
        await self._membership.start()

    async def stop(self) -> None:
        """Leave the group. Safe to call twice."""
        await self._membership.stop()

    async def _member(self) -> None:
        """Be a member of the group until something fails."""
        settings = self._settings
        consumer = kafka.make_consumer(
            settings, group_id=f"{settings.group_id}.exceptions", auto_offset_reset="earliest"
        )
        consumer.subscribe([settings.topic("exceptions")])
        try:
            await kafka.start(consumer, settings, timeout_s=settings.rebalance_timeout_s)
            while True:
                with translated("reading exceptions for refusals"):
                    batches = await asyncio.shield(consumer.getmany(timeout_ms=_POLL_MS))
                for partition, records in batches.items():
                    await self._look(consumer, partition, records)
        finally:
            await kafka.close(consumer, _CLOSE_S)

    async def _look(self, consumer: Any, partition: TopicPartition, records: list[ConsumerRecord]) -> None:
        """Refuse what is to be refused of a batch, then commit it."""
        refused = [(one, error) for one in map(incoming, records) if (error := self.refusal(one)) is not None]
        if refused:
            await self._bury(refused)
        with translated("committing what was refused"):
            async with asyncio.timeout(self._settings.kafka_timeout_s):
                await consumer.commit({partition: records[-1].offset + 1})

    def refusal(self, record: Incoming) -> ExceptionInvalid | None:
        """Return why a record allows nothing; None where it may, and for a tombstone."""
        if record.value is None:
            return None
        try:
            self._check_floor(accept(record, self._key_id))
        except ExceptionInvalid as error:
            return error
        return None

    def _check_floor(self, accepted: Accepted) -> None:
        tenant, slash, channel = accepted.record.scope.partition("/")
        floor = floor_ids(self._policies.resolve(tenant, channel if slash else None))
        check_floor(accepted, floor)

    async def _bury(self, refused: Iterable[tuple[Incoming, ExceptionInvalid]]) -> None:
        settings, now = self._settings, dt.datetime.now(dt.UTC)
        async with kafka.writer(settings, linger_ms=0, close_s=_CLOSE_S) as producer:
            for record, error in refused:
                place = {"partition": record.partition, "offset": record.offset, "timestamp": record.timestamp}
                source = Source(topic=settings.topic("exceptions"), **place)
                failure = dead_letter.Failure.of("exception", error)
                await kafka.send(
                    producer,
                    settings.topic("dead-letters"),
                    record.value,
                    key=record.key,
                    headers=dead_letter.headers(record.headers, failure, source, now),
                    partition=record.partition,
                    timeout_s=settings.kafka_timeout_s,
                )
                self._metrics.dead_letters.labels(stage="exception").inc()


def check_floor(accepted: Accepted, floor: frozenset[str]) -> None:
    """Return unless a tenant's exception names a category of the floor.

    Raises:
        ExceptionInvalid: it does.

    """
    if is_void(accepted, floor):
        field = "categories"
        expected = "only categories of the tenant's own policy; those of the floor only the platform may except ('*')"
        raise ExceptionInvalid(field, expected)
