"""Outcomes of rehearsals into Kafka.

What stands here knows the two topics of rehearsals and no other: by type, and by the names that it
makes when it is built. So no rehearsal can write a verdict that a platform acts on.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from msgspec import Struct, structs
from prometheus_client import CollectorRegistry

from worker import credentials
from worker.config import Settings
from worker.exceptions.source import ExceptionSource
from worker.judge.judgement import Judge, Judgement
from worker.metrics import Metrics
from worker.policy.model import Rehearsal
from worker.records import Message, Timing
from worker.stream.delivery import Delivery
from worker.stream.outputs import Outputs, without_texts
from worker.stream.protection import NO_PROTECTION, Protection
from worker.stream.work import Row

ShadowTopic = Literal["shadow-verdicts", "shadow-traces"]
_CLIENT_SUFFIX: Final = "-shadow"


def shadow_settings(settings: Settings) -> Settings:
    """Return the settings of the rehearsals' own Kafka client.

    A client id of its own lets a broker's quota hold it. Where ``shadow_sasl_username`` is set it logs in
    as that user, whom ACLs let write to the two topics alone (``rsafe topics acls --shadow``).
    """
    return structs.replace(credentials.shadow(settings), instance_id=settings.instance + _CLIENT_SUFFIX)


class Rehearsed(Struct, frozen=True, kw_only=True):
    """One judgement of one message under a policy that is not live."""

    record: Any
    message: Message
    rehearsal: Rehearsal
    judgement: Judgement
    timing: Timing


class ShadowOutput:
    """Writes traces and verdicts of rehearsals, through a producer of its own."""

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        delivery: Delivery | None = None,
        exceptions: ExceptionSource | None = None,
        protect: Protection = NO_PROTECTION,
    ) -> None:
        """Connect nothing yet.

        Args:
            settings: those of the worker.
            judge: whose model stands in the verdicts.
            delivery: what writes; one with a producer and counters of its own by default.
            exceptions: those of live verdicts, so that a comparison shows what the policy changes alone.
            protect: the worker's; keys are published by its login, since rehearsals' own may not.

        """
        self._outputs = Outputs(settings.instance, judge, exceptions, protect)
        self._protect = protect
        self._names: dict[ShadowTopic, str] = {name: settings.topic(name) for name in get_args(ShadowTopic)}
        self._delivery = delivery or Delivery(shadow_settings(settings), Metrics(CollectorRegistry()))

    async def publish(self, rehearsed: Rehearsed) -> bool:
        """Write the trace and then the verdict to the message's partition number, however long Kafka is away.

        False where the verdict is above its topic's limit and was not written.
        """
        verdict, trace = self._outputs.rehearsed(
            rehearsed.record, rehearsed.message, rehearsed.judgement, rehearsed.rehearsal, rehearsed.timing
        )
        partition = rehearsed.record.partition
        await self._protect.published()
        if trace is not None and not await self._write("shadow-traces", partition, trace):
            await self._write("shadow-traces", partition, without_texts(trace))
        return await self._write("shadow-verdicts", partition, verdict)

    async def _write(self, topic: ShadowTopic, partition: int, row: Row) -> bool:
        (position,) = await self._delivery.write(self._names[topic], partition, [row])
        return position is not None

    async def abandon(self) -> None:
        """Give up what is on its way: it is never sent."""
        await self._delivery.abandon()

    async def close(self, timeout_s: float) -> None:
        """End the producer."""
        await self._delivery.close(timeout_s)
