"""The one worker that judges golden cases, with the judge that judges messages.

Who that is, Kafka says: all workers are members of a consumer group of its own on ``policies``, which
has one partition, and whoever is assigned it is chosen. The group reads nothing; it lends the partition,
and takes it back from a worker that is gone. It commits one thing: which record's cases were in the judge when
an engine died, and how often. After the second time the record is refused, so that no policy can end worker
after worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.errors import EngineDead, PolicyInvalid, WorkerError
from worker.judge.golden import answer_of
from worker.judge.judgement import Judge
from worker.kafka_errors import translated
from worker.membership import Membership
from worker.policy.golden import Answer, GoldenReport, run_golden
from worker.policy.history import Place
from worker.policy.model import EffectivePolicy
from worker.records import Message, Policy
from worker.stream.cluster import Cluster
from worker.stream.quarantine import FATAL_DEATHS

logger: Final = logging.getLogger(__name__)

#: Cases in the engine at once, and how far behind messages they stand there.
AT_ONCE: Final = 4
PRIORITY: Final = 10
#: A case that was not judged says nothing about the policy; it is asked again so often.
_ATTEMPTS: Final = 3
_POLL_MS: Final = 200
#: What the worker's end can wait for the note of a death.
_NOTE_S: Final = 2.0


class _Deaths(Struct, frozen=True):
    """How often the engine died over the cases of one record of ``policies``; the metadata of the group's commit."""

    offset: int
    timestamp: int
    deaths: int


class JudgeTrier:
    """A ``Trier`` on a judge."""

    def __init__(self, settings: Settings, judge: Judge) -> None:
        """Hold settings and judge; nothing connects yet."""
        self._settings = settings
        self._judge = judge
        self._consumer: Any = None
        self._membership = Membership("standing for golden cases", self._member)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asking = 0
        self._cluster = Cluster(settings)
        self._group_id = f"{settings.group_id}.golden"
        self._partition = TopicPartition(settings.topic("policies"), 0)
        self._noting: asyncio.Task[None] | None = None
        self._waits: Callable[[], bool] = lambda: False

    @property
    def busy(self) -> bool:
        """Whether a case is in the judge."""
        return self._asking > 0

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the judge's model."""
        return self._judge.model.fingerprint

    def chosen(self) -> bool:
        """Tell whether the group lends its partition to this worker, and the judge is free for cases."""
        if self._waits() or self._consumer is None:
            return False
        return kafka.is_member(self._consumer) and bool(self._consumer.assignment())

    def wait_while(self, waits: Callable[[], bool]) -> None:
        """Begin no cases while this says so: beside messages that may kill the engine they would be blamed too."""
        self._waits = waits

    async def start(self) -> None:
        """Join the group in the background, again and again while Kafka is away."""
        await self._membership.start()

    async def stop(self) -> None:
        """Leave the group. Safe to call twice."""
        if self._noting is not None:
            await self._noting
        await self._membership.stop()
        await self._cluster.close()

    async def run(self, place: Place, policy: Policy, effective: EffectivePolicy) -> GoldenReport:
        """Judge every case, a few at once and behind messages.

        Raises:
            PolicyInvalid: the engine died over them before, as often as makes sure.
            WorkerError: the engine cannot judge now.

        """
        before = await self._deaths(place)
        if before >= FATAL_DEATHS:
            field, died = "golden", f"it died {before} times while these were judged"
            raise PolicyInvalid(field, f"golden cases that the engine survives; {died}")
        try:
            return await run_golden(policy, effective, self._ask)
        except (EngineDead, asyncio.CancelledError):
            # A hung engine fails no call: the end of the worker breaks the wait off, and then it is asked.
            if self._noting is None and self._is_dead():
                self._noting = asyncio.create_task(self._note(_Deaths(*place, before + 1)))
            raise

    async def _deaths(self, place: Place) -> int:
        """Return how often the engine died over the cases of this record."""
        found = await self._cluster.committed([0], topic="policies", group_id=self._group_id)
        try:
            known = msgspec.json.decode(found[0].metadata, type=_Deaths)
        except (KeyError, *UNREADABLE):
            return 0
        return known.deaths if (known.offset, known.timestamp) == place else 0

    def _is_dead(self) -> bool:
        try:
            self._judge.check()
        except EngineDead:
            return True
        return False

    async def _note(self, deaths: _Deaths) -> None:
        """Commit over whose cases the engine died: once in a worker's life, since it asks a dead engine again."""
        metadata = msgspec.json.encode(deaths).decode()
        try:
            with translated("noting over whose golden cases the engine died"):
                async with asyncio.timeout(_NOTE_S):
                    if self._consumer is not None:
                        await self._consumer.commit({self._partition: (0, metadata)})
        except WorkerError as error:
            logger.warning("%s", error)

    async def _ask(self, message: Message, effective: EffectivePolicy) -> Answer:
        async with self._slots:
            for _ in range(_ATTEMPTS):
                answer = await self._answer(message, effective)
                if answer.status not in {"timeout", "engine_error"}:
                    break
        return answer

    async def _answer(self, message: Message, effective: EffectivePolicy) -> Answer:
        self._asking += 1
        try:
            return answer_of(await self._judge.judge(message, effective, priority=PRIORITY), effective)
        finally:
            self._asking -= 1

    async def _member(self) -> None:
        """Be a member of the group until something fails."""
        consumer = kafka.make_consumer(self._settings, group_id=self._group_id, auto_offset_reset="latest")
        consumer.subscribe([self._settings.topic("policies")])
        try:
            await kafka.start(consumer, self._settings, timeout_s=self._settings.rebalance_timeout_s)
            self._consumer = consumer
            while True:
                # Nothing is read: a paused partition is only lent. The call notices what the group does.
                consumer.pause(*consumer.assignment())
                with translated("standing for golden cases"):
                    await asyncio.shield(consumer.getmany(timeout_ms=_POLL_MS))
        finally:
            self._consumer = None
            await kafka.close(consumer)
