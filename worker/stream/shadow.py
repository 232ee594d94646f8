"""Rehearsal: policies under ``<scope>#shadow`` judge a sample of live messages, beside the live policies.

It never costs live traffic anything: a message comes here after its verdict has gone to the publisher,
its offset is complete without this, a full queue drops the oldest, few are in the judge at once and
behind live ones, and what fails is counted and forgotten. So each sampled message gets at most one
outcome per rehearsal from each worker that judged it, and sometimes none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import Struct

from worker.config import Settings
from worker.errors import EngineError
from worker.judge.judgement import UNSPOKEN, Judge, Judgement
from worker.metrics import Metrics
from worker.policy.model import Rehearsal
from worker.policy.source import PolicySource, RehearsalSource
from worker.records import Message, Source, Timing, or_none, sha256_hex
from worker.stream.buffer import MIB
from worker.stream.shadow_output import Rehearsed, ShadowOutput
from worker.stream.work import held_bytes, source_of

logger: Final = logging.getLogger(__name__)

#: How far behind live messages (0), replays (1) and golden cases (10) rehearsals stand in the engine.
PRIORITY: Final = 20
#: What waits may take this part of the memory for messages, on top of it.
_MEMORY_PART: Final = 8
#: Such a judgement says nothing about the policy: what is last in the queue runs out of time first.
_NOT_ITS_FAULT: Final = frozenset({"timeout", "engine_error"})
#: At most this part of the engine's sequences: priority does not take a slot from who has it.
_ENGINE_PART: Final = 4
#: 52 bits of a hash, which a float holds exactly.
_HASH_DIGITS: Final = 13
_MS: Final = 1000.0

Reason = Literal["queue", "engine", "size", "error"]


class _Waiting(Struct, frozen=True, kw_only=True):
    record: Any
    message: Message
    offered_s: float

    @property
    def size_bytes(self) -> int:
        return held_bytes(self.record)


def sampled(source: Source, share: float) -> bool:
    """Tell whether a message is in the sample: the same at every attempt, and in every larger sample too."""
    name = f"{source.topic}/{source.partition}/{source.offset}/{source.timestamp}"
    return int(sha256_hex(name.encode())[:_HASH_DIGITS], 16) < share * 16**_HASH_DIGITS


class Shadow:
    """Takes messages that have their verdict, and judges some of them again."""

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        policies: PolicySource,
        metrics: Metrics,
        output: ShadowOutput | None = None,
    ) -> None:
        """Hold the parts; nothing connects before the first rehearsal.

        Args:
            settings: share, bounds and addresses.
            judge: the judge of live messages.
            policies: a source; one that is no ``RehearsalSource`` rehearses nothing.
            metrics: where judgements and drops are counted.
            output: what writes; by default one with a Kafka client of its own.

        """
        self._share = settings.shadow_share
        self._most = settings.shadow_queue_messages
        self._most_bytes = settings.buffer_mib * MIB // _MEMORY_PART
        self._slots = min(settings.shadow_in_flight, max(1, settings.max_num_seqs // _ENGINE_PART))
        self._judge = judge
        self._policies = policies if isinstance(policies, RehearsalSource) else None
        self._metrics = metrics
        self._output = output or ShadowOutput(settings, judge)
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._must_wait: Callable[[], bool] = lambda: False

    @property
    def busy(self) -> bool:
        """Whether anything may be in the judge."""
        return bool(self._tasks)

    def wait_while(self, must_wait: Callable[[], bool]) -> None:
        """Begin nothing while this is so: a live message has to be alone in the judge."""
        self._must_wait = must_wait

    def offer(self, record: Any, message: Message) -> None:
        """Take in a message that has its verdict; returns at once and never raises."""
        if self._policies is None or self._stopped:
            return
        try:
            self._offer(record, message)
        except Exception as error:  # noqa: BLE001  (whatever is wrong here must not reach live messages)
            self._drop("error", error)

    async def stop(self, timeout_s: float) -> None:
        """Drop what waits, give what is in the judge or on its way some time, then end. Safe to call twice."""
        self._stopped = True
        self._queue.clear()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_s / 2)
        if left := set(self._tasks):
            for task in left:
                task.cancel()
            await self._output.abandon()
            await asyncio.wait(left)
        await self._output.close(timeout_s / 2)

    def _offer(self, record: Any, message: Message) -> None:
        if not self._rehearsals(message) or not sampled(source_of(record), self._share):
            return
        waiting = _Waiting(record=record, message=message, offered_s=time.monotonic())
        self._queue.append(waiting)
        self._queued_bytes += waiting.size_bytes
        while len(self._queue) > self._most or self._queued_bytes > self._most_bytes:
            self._take()
            self._drop("queue")
        if len(self._tasks) < self._slots:
            task = asyncio.create_task(self._empty())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> _Waiting:
        waiting = self._queue.popleft()
        self._queued_bytes -= waiting.size_bytes
        return waiting

    def _rehearsals(self, message: Message) -> tuple[Rehearsal, ...]:
        assert self._policies is not None
        return self._policies.rehearsals(message.tenant_id, or_none(message.channel_id))

    async def _empty(self) -> None:
        """Judge what waits, one after the other, until nothing does."""
        while self._queue and not self._must_wait():
            waiting = self._take()
            # As things stand now: a rehearsal may have ended meanwhile.
            for rehearsal in self._rehearsals(waiting.message):
                try:
                    await self._rehearse(waiting, rehearsal)
                except Exception as error:  # noqa: BLE001  (as above)
                    self._drop("error", error)

    async def _rehearse(self, waiting: _Waiting, rehearsal: Rehearsal) -> None:
        started_s = time.monotonic()
        judgement = await self._judged(waiting.message, rehearsal)
        if judgement.status in _NOT_ITS_FAULT:
            self._drop("engine")
            return
        rehearsed = Rehearsed(
            record=waiting.record,
            message=waiting.message,
            rehearsal=rehearsal,
            judgement=judgement,
            timing=Timing(
                queue_ms=round((started_s - waiting.offered_s) * _MS, 3),
                engine_ms=round(judgement.engine_ms, 3),
                total_ms=round((time.monotonic() - waiting.offered_s) * _MS, 3),
            ),
        )
        if await self._output.publish(rehearsed):
            self._metrics.shadow_judged.inc()
        else:
            self._drop("size")

    async def _judged(self, message: Message, rehearsal: Rehearsal) -> Judgement:
        if not rehearsal.effective.calls_for(or_none(message.language)):
            return UNSPOKEN
        try:
            return await self._judge.judge(message, rehearsal.effective, priority=PRIORITY)
        except EngineError as error:
            # That a message is too long under this policy is a finding; all else is dropped.
            return Judgement(status=error.status)

    def _drop(self, reason: Reason, error: Exception | None = None) -> None:
        """Count what was given up. An error's text may hold the message's, so only its class is logged."""
        self._metrics.shadow_dropped.labels(reason).inc()
        if error is not None:
            logger.error("a rehearsal raised %s; live messages go on", type(error).__name__)
