"""Outcomes of a replay into Kafka.

What stands here knows the two topics of replays and no other: by type, and by the names that it
makes when it is built. So no replay can write a verdict that a platform acts on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final, Literal, get_args

from msgspec import Struct, structs
from prometheus_client import CollectorRegistry

from worker import content_digest, kafka, trace_context
from worker.audit.replay.originals import control_id
from worker.config import Settings
from worker.errors import OutputTooLarge
from worker.exceptions.book import Book
from worker.judge.judgement import Judgement
from worker.judge.verdict import Attempt, verdict
from worker.metrics import Metrics
from worker.policy.model import EffectivePolicy
from worker.records import Message, ModelRef, Timing, encode
from worker.stream.delivery import Delivery
from worker.stream.outputs import without_texts
from worker.stream.protection import protection
from worker.stream.work import Row, source_of

ReplayTopic = Literal["replay-verdicts", "replay-traces"]
_TRACE_ID_BYTES: Final = 16


def replay_settings(settings: Settings, run_id: str) -> Settings:
    """Return settings under which a run's clients have a group and a client id of their own.

    A broker's quota for the client id keeps a replay's reading and writing below live traffic.
    """
    return structs.replace(
        settings,
        group_id=f"{settings.topic_prefix}replay.{run_id}",
        instance_id=f"{settings.instance}-replay",
    )


class Judged(Struct, frozen=True, kw_only=True):
    """One judgement of one message: the record it came from, and the policy it was judged under."""

    record: Any
    message: Message
    policy: EffectivePolicy | None
    judgement: Judgement
    total_ms: float
    is_control: bool = False


class ReplayOutput:
    """Writes traces and verdicts of one run, and waits for each to be acknowledged."""

    def __init__(self, settings: Settings, run_id: str, model: ModelRef, exceptions: Book | None = None) -> None:
        """Connect nothing yet.

        Args:
            settings: those of ``replay_settings``.
            run_id: the run.
            model: what judges.
            exceptions: those of live verdicts; each message falls under those of its own time. None without any.

        Raises:
            ConfigError: ``erasure = on`` without a ``digest_key`` that can be used.

        """
        self._exceptions = exceptions
        self._instance = settings.instance
        self._run_id = run_id
        self._model = model
        self._names: dict[ReplayTopic, str] = {name: settings.topic(name) for name in get_args(ReplayTopic)}
        self._fenced: Callable[[], bool] | None = None
        metrics = Metrics(CollectorRegistry())
        self._delivery = Delivery(settings, metrics, self._must_not_send)
        # What ends it is raised where a key is waited for.
        self._protect = protection(settings, metrics, lambda _: None)
        self._writing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Wait until every erasure up to now is known, so that no replay brings back what was erased.

        Raises:
            WrongDigestKey: ``digest_key`` is not that of the workers.

        """
        if self._protect.sealer is not None:
            self._protect.sealer.start()
            await self._protect.sealer.ready()

    def fence(self, must_not_send: Callable[[], bool]) -> None:
        """Ask this from now on before anything goes out; it says so while the partitions may have another owner."""
        self._fenced = must_not_send

    def _must_not_send(self) -> bool:
        return self._fenced is not None and self._fenced()

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return bool(self._writing)

    async def publish(self, judged: Judged, may_write: Callable[[], None]) -> None:
        """Write trace and verdict; cancelling it does not stop what is under way, see ``settle``.

        ``may_write`` is asked before each of the two and raises where the partition may have another owner.

        Raises:
            OutputTooLarge: the verdict is above the topic's limit.

        """
        task = asyncio.create_task(self._publish(judged, may_write))
        self._writing.add(task)
        task.add_done_callback(self._written)
        await asyncio.shield(task)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        # Read, or asyncio complains of it where nobody waits any more.
        _ = task.cancelled() or task.exception()

    async def settle(self, timeout_s: float) -> None:
        """Wait until nothing is under way; what is left after ``timeout_s`` is given up, and never sent."""
        if self._writing:
            await asyncio.wait(set(self._writing), timeout=timeout_s)
        if self._writing:
            await self.abandon()

    async def abandon(self) -> None:
        """Cut the producer off: what is not acknowledged is never sent, unless it is on its way already."""
        left = set(self._writing)
        for task in left:
            task.cancel()
        await self._delivery.abandon()
        if left:
            await asyncio.wait(left)

    async def close(self) -> None:
        """End the producer."""
        await self._delivery.close(timeout_s=5.0)
        if self._protect.sealer is not None:
            await self._protect.sealer.stop()

    async def _publish(self, judged: Judged, may_write: Callable[[], None]) -> None:
        verdict_row, trace_row = self._rows(judged)
        partition = judged.record.partition
        await self._protect.published()
        if trace_row is not None:
            may_write()
            if not await self._write("replay-traces", partition, trace_row):
                await self._write("replay-traces", partition, without_texts(trace_row))
        may_write()
        if not await self._write("replay-verdicts", partition, verdict_row):
            text = (
                f"the verdict of offset {judged.record.offset} is above max.message.bytes of replay-verdicts; raise it"
            )
            raise OutputTooLarge(text)

    async def _write(self, topic: ReplayTopic, partition: int, row: Row) -> bool:
        (position,) = await self._delivery.write(self._names[topic], partition, [row])
        return position is not None

    def _rows(self, judged: Judged) -> tuple[Row, Row | None]:
        record = judged.record
        attempt = Attempt(
            message=judged.message,
            source=source_of(record),
            mode="replay",
            run_id=control_id(self._run_id) if judged.is_control else self._run_id,
            trace_id=os.urandom(_TRACE_ID_BYTES).hex(),
            model=self._model,
            timing=Timing(
                queue_ms=None, engine_ms=round(judged.judgement.engine_ms, 3), total_ms=round(judged.total_ms, 3)
            ),
            permits=self._exceptions.matching(judged.message, record.timestamp) if self._exceptions else (),
            digests=self._protect.digests,
        )
        decided, trace = verdict(attempt, judged.judgement, judged.policy)
        passed_on = trace_context.passed_on(record.headers)

        def row(kind: str, event_id: str, value: bytes) -> Row:
            event = kafka.cloud_event(kind, self._instance, event_id)
            return Row(record.key, value, [*event, *passed_on, content_digest.header(record.key, value)])

        verdict_row = row("verdict", decided.verdict_id, encode(decided))
        if trace is None:
            return verdict_row, None
        trace = self._protect.trace(trace, judged.message, record)
        return verdict_row, row("trace", trace.trace_id, encode(trace))
