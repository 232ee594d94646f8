"""The one worker that judges golden cases, with the judge that judges messages.

Who that is, Kafka says: all workers are members of a consumer group of its own on ``policies``, which
has one partition, and whoever is assigned it is chosen. The group reads and commits nothing; it only
lends the partition, and takes it back from a worker that is gone.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from worker import kafka
from worker.config import Settings
from worker.judge.golden import answer_of
from worker.judge.judgement import Judge
from worker.kafka_errors import translated
from worker.membership import Membership
from worker.policy.golden import Answer, GoldenReport, run_golden
from worker.policy.model import EffectivePolicy
from worker.records import Message, Policy

#: Cases in the engine at once, and how far behind messages they stand there.
AT_ONCE: Final = 4
PRIORITY: Final = 10
#: A case that was not judged says nothing about the policy; it is asked again so often.
_ATTEMPTS: Final = 3
_POLL_MS: Final = 200


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

    @property
    def busy(self) -> bool:
        """Whether a case is in the judge."""
        return self._asking > 0

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the judge's model."""
        return self._judge.model.fingerprint

    def chosen(self) -> bool:
        """Tell whether the group lends its partition to this worker."""
        return self._consumer is not None and kafka.is_member(self._consumer) and bool(self._consumer.assignment())

    async def start(self) -> None:
        """Join the group in the background, again and again while Kafka is away."""
        await self._membership.start()

    async def stop(self) -> None:
        """Leave the group. Safe to call twice."""
        await self._membership.stop()

    async def run(self, policy: Policy, effective: EffectivePolicy) -> GoldenReport:
        """Judge every case, a few at once and behind messages.

        Raises:
            WorkerError: the engine cannot judge now.

        """
        return await run_golden(policy, effective, self._ask)

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
        group = f"{self._settings.group_id}.golden"
        consumer = kafka.make_consumer(self._settings, group_id=group, auto_offset_reset="latest")
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
