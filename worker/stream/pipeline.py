"""The life of a message between intake and publisher: decode, policy, admission, judge, verdict.

No step has a task of its own. A message gets one task while it is in the judge and none before or
after, so that the window of messages in flight bounds everything; its few calls are the judge's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from worker.backoff import Backoff
from worker.errors import DecodeError, EngineAborted, EngineDead, EngineError
from worker.exceptions.source import ExceptionSource
from worker.judge.judgement import UNSPOKEN, Judge, Judgement
from worker.policy.model import EffectivePolicy
from worker.policy.source import PolicySource
from worker.records import Message, Status, Timing, decode_message, or_none
from worker.stream.deferred import DeferredOffset, Line
from worker.stream.ledger import PartitionLedger
from worker.stream.lookahead import Lookahead
from worker.stream.outputs import Outputs, dead_letter_of
from worker.stream.publisher import Publisher
from worker.stream.quarantine import FATAL_DEATHS, Quarantine, fatal
from worker.stream.state import State
from worker.stream.tasks import spawn
from worker.stream.work import Work, held_bytes

logger: Final = logging.getLogger(__name__)
#: An engine that cuts the same message short so often will not answer any more.
MOST_ABORTS: Final = 10
_LONGEST_ABORT_WAIT_S: Final = 1.0
_MS: Final = 1000.0


class Pipeline:
    """Takes records in, hands outcomes to the publisher."""

    def __init__(
        self,
        state: State,
        judge: Judge,
        policies: PolicySource,
        publisher: Publisher,
        on_verdict: Callable[[Any, Message], None] | None = None,
        exceptions: ExceptionSource | None = None,
        others_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """Connect the parts; the judge is built before the first record comes.

        ``on_verdict`` is told each record and message that got its verdict in good order; it must not raise.
        Without ``exceptions`` there are none. ``others_busy`` tells whether anything else is in the judge.
        """
        self._state = state
        self._slots = state.settings.in_flight
        self._judge = judge
        self._policies = policies
        self._admission = state.admission
        self._deferred = state.deferred
        self._outputs = Outputs(state.settings.instance, judge, exceptions, state.protection)
        self._publisher = publisher
        self._on_verdict = on_verdict
        self._buffer = state.buffer
        self._metrics = state.metrics
        self._running: dict[int, tuple[Work, asyncio.Task[None]]] = {}
        self._calls = 0
        self._pump_due = False
        self._held = False
        self._quarantine = Quarantine(others_busy)
        self._lookahead = Lookahead(
            asked_from=state.settings.lookahead_messages,
            most=state.settings.deferred_messages,
            memory_s=state.settings.deferred_max_age_s,
        )

    @property
    def in_judge(self) -> int:
        """How many messages are in the judge."""
        return len(self._running)

    @property
    def careful(self) -> bool:
        """Whether messages that were in the judge at an engine's death are judged one at a time now."""
        return self._quarantine.is_open

    @property
    def futile(self) -> bool:
        """Whether reading on would help nobody: all tenants seen lately are past their queues."""
        return self._lookahead.futile(len(self._deferred))

    @property
    def held(self) -> bool:
        """Whether everything is being given away."""
        return self._held

    def accept(self, record: Any, ledger: PartitionLedger) -> None:
        """Take in a record whose offset is in flight; ``pump`` sets it moving."""
        message = self._decoded(record, ledger)
        if message is None:
            return
        held = self._deferred.holds(message.tenant_id)
        aside = not held and self._is_crowded(message, record)
        if (held or aside) and self._defer(message, record, ledger, aside=aside):
            return
        work = self._work(message, record, ledger)
        if held or aside or not (self._offer(work) or self._defer(message, record, ledger)):
            self._finish_unjudged(work, "overloaded")

    def readmit(self, record: Any, ledger: PartitionLedger, item: DeferredOffset, *, expired: bool) -> bool:
        """Take in a deferred record that was read again; False if it still does not fit its tenant's queue.

        One whose id has no room while its tenant has gives way: it is deferred once more, aside.
        """
        message = self._decoded(record, ledger)
        if message is None:
            return True
        work = self._work(message, record, ledger)
        work.received_s = item.since_s
        if expired:
            self._finish_unjudged(work, "overloaded")
            return True
        gives_way = not item.message_id and self._is_crowded(message, record)
        if not gives_way and self._admission.offer(work):
            return True
        self._buffer.give(work.size_bytes)
        if gives_way:
            self._deferred.set_aside(item, message.message_id)
        return gives_way

    def pump(self) -> None:
        """Fill the window. A message takes as many slots as it makes calls, or they would wait in the engine."""
        self._pump_due = False
        while not self._held and self._state.failure is None and self._calls < self._slots:
            if self._quarantine.is_open:
                if self._running:
                    return
                self._begin(self._quarantine.next())
                continue
            taken = self._admission.take(self._slots - self._calls)
            if not taken:
                return
            for work in taken:
                if not self._quarantine.takes(work):
                    self._begin(work)

    def hold(self) -> None:
        """Start nothing new until ``resume``: all partitions are being given away."""
        self._held = True

    def resume(self) -> None:
        """Start judging again."""
        self._held = False

    def drop_queued(self) -> None:
        """Forget everything that waits; the offsets stay open."""
        for work in self._quarantine.drop():
            self._admission.release(work)
            self._buffer.give(work.size_bytes)
        for work in self._admission.drop(self._admission.partitions):
            self._buffer.give(work.size_bytes)
        self._deferred.clear()

    async def drained(self, partitions: Collection[int]) -> None:
        """Wait until nothing of these partitions is in the judge or waits to be published."""
        while tasks := [task for work, task in self._running.values() if work.partition in partitions]:
            await asyncio.wait(tasks)
        await self._publisher.drained(partitions)

    def abort(self) -> None:
        """Take everything out of the judge; the offsets stay open."""
        for work, task in list(self._running.values()):
            task.cancel()
            self._leave(work)
            self._buffer.give(work.size_bytes)

    def _decoded(self, record: Any, ledger: PartitionLedger) -> Message | None:
        """Decode a record, which is held from now on; one that is no message or kills engines becomes a dead letter."""
        self._buffer.take(held_bytes(record))
        deaths = ledger.deaths(record.offset, record.timestamp) or 0
        if deaths >= FATAL_DEATHS:
            self._publisher.submit(
                dead_letter_of(record, ledger, "engine", fatal(deaths), deaths, protect=self._state.protection)
            )
            return None
        try:
            return decode_message(record.value)
        except DecodeError as error:
            self._publisher.submit(dead_letter_of(record, ledger, "decode", error, protect=self._state.protection))
            return None

    def _work(self, message: Message, record: Any, ledger: PartitionLedger) -> Work:
        policy = self._policies.resolve(message.tenant_id, or_none(message.channel_id))
        return Work(
            tenant_id=message.tenant_id,
            message_id=message.message_id,
            partition=record.partition,
            offset=record.offset,
            tokens=self._judge.estimate_tokens(message, policy),
            size_bytes=held_bytes(record),
            calls=self._judge.calls_at_once(message, policy),
            group="" if policy is None else policy.digest,
            record=record,
            message=message,
            ledger=ledger,
            received_s=time.monotonic(),
            is_suspect=ledger.deaths(record.offset, record.timestamp) is not None,
        )

    def _is_crowded(self, message: Message, record: Any) -> bool:
        """Tell whether a message must wait behind earlier ones of its id, whatever room its tenant has."""
        line = Line(message.tenant_id, record.partition, message.message_id)
        room = self._admission.room_of_id(line.tenant_id, line.message_id)
        return self._deferred.holds_aside(line) or not room.fits(held_bytes(record))

    def _offer(self, work: Work) -> bool:
        admitted = self._admission.offer(work)
        if admitted:
            self._lookahead.admitted(work.tenant_id)
        return admitted

    def _defer(self, message: Message, record: Any, ledger: PartitionLedger, *, aside: bool = False) -> bool:
        """Keep only the offset of a message that its queue has no room for; False if that is too many."""
        if not aside:
            self._lookahead.deferred(message.tenant_id)
        item = DeferredOffset(
            message.tenant_id,
            record.partition,
            record.offset,
            record.timestamp,
            ledger.epoch,
            time.monotonic(),
            held_bytes(record),
            message.message_id if aside else "",
        )
        deferred = self._deferred.add(item)
        if deferred:
            self._buffer.give(held_bytes(record))
        return deferred

    def _begin(self, work: Work) -> None:
        """Give a message to the judge, under the policy in force now."""
        policy = self._policies.resolve(work.tenant_id, or_none(work.message.channel_id))
        if policy is not None and policy.calls_for(or_none(work.message.language)):
            policy = self._eased(work, policy)
            if policy.rung != "hold":
                task = spawn(self._run(work, policy), self._state.fail)
                self._running[work.order] = (work, task)
                self._calls += work.calls
                return
        self._quarantine.passed(work)
        self._admission.release(work)
        self._finish(work, _unasked(policy), policy, time.monotonic())

    def _eased(self, work: Work, policy: EffectivePolicy) -> EffectivePolicy:
        """Return the policy at the rung of the overload ladder that the message is judged at."""
        rung = self._state.overload.rung(work.tenant_id, time.monotonic() - work.received_s, policy)
        if rung is not None:
            self._metrics.degraded.labels(rung).inc()
        return policy.at(rung)

    async def _run(self, work: Work, policy: EffectivePolicy) -> None:
        started_s = time.monotonic()
        judgement = await self._answer(work, policy)
        self._leave(work)
        self._metrics.engine_ms.observe(judgement.engine_ms)
        self._metrics.queue_ms.observe((started_s - work.received_s) * _MS)
        self._finish(work, judgement, policy, started_s)

    async def _answer(self, work: Work, policy: EffectivePolicy) -> Judgement:
        """Judge a message, again after each abort.

        Raises:
            EngineDead: the engine is gone, or answers nothing but aborts.

        """
        backoff = Backoff(most_s=_LONGEST_ABORT_WAIT_S)
        for _ in range(MOST_ABORTS):
            try:
                return await self._judge.judge(work.message, policy)
            except EngineAborted:
                self._metrics.engine_aborts.inc()
                await backoff.wait()
            except EngineDead:
                self.note_death()
                raise
            except EngineError as error:
                return Judgement(status=_status(error))
            except Exception as error:  # noqa: BLE001  (a bug that one message hits must not stop the others for ever)
                return self._foreign_error(work, error)
        text = f"the engine cut a message short {MOST_ABORTS} times; look at its log"
        raise EngineDead(text)

    def note_death(self) -> None:
        """Remember in the ledgers what was in the judge when the engine died; the first call counts."""
        self._quarantine.engine_died([work for work, _ in self._running.values()])

    def _foreign_error(self, work: Work, error: Exception) -> Judgement:
        """Count an error that no judge should raise. Its text may hold the message's, so only its class is logged."""
        name = type(error).__name__
        self._metrics.judge_failures.labels(name).inc()
        logger.error("judging partition %d offset %d raised %s", work.partition, work.offset, name)
        return Judgement(status="engine_error")

    def _leave(self, work: Work) -> None:
        """Free the message's slot, and fill the window soon."""
        if self._running.pop(work.order, None) is None:
            return
        self._calls -= work.calls
        self._quarantine.passed(work)
        self._admission.release(work)
        if not self._pump_due:
            self._pump_due = True
            asyncio.get_running_loop().call_soon(self.pump)

    def _finish_unjudged(self, work: Work, status: Status) -> None:
        policy = self._policies.resolve(work.tenant_id, or_none(work.message.channel_id))
        self._finish(work, Judgement(status=status), policy, time.monotonic())

    def _finish(self, work: Work, judgement: Judgement, policy: EffectivePolicy | None, started_s: float) -> None:
        timing = Timing(
            queue_ms=_milliseconds(started_s - work.received_s),
            engine_ms=_milliseconds(judgement.engine_ms / _MS),
            total_ms=_milliseconds(time.monotonic() - work.received_s),
        )
        usage = judgement.usage
        self._metrics.prompt_tokens.inc(usage.prompt_tokens)
        self._metrics.cached_tokens.inc(usage.cached_tokens)
        self._metrics.output_tokens.inc(usage.output_tokens)
        self._publisher.submit(self._outputs.verdict(work, judgement, policy, timing))
        # What was too much to judge once is not judged twice, and what was judged in part is compared with nothing.
        is_whole = judgement.status != "overloaded" and (policy is None or policy.rung is None)
        if self._on_verdict is not None and is_whole:
            self._on_verdict(work.record, work.message)


def _unasked(policy: EffectivePolicy | None) -> Judgement:
    """Return why no judge was asked."""
    if policy is None:
        return Judgement(status="policy_missing")
    return Judgement(status="overloaded") if policy.rung == "hold" else UNSPOKEN


def _milliseconds(seconds: float) -> float:
    return round(seconds * _MS, 3)


def _status(error: EngineError) -> Status:
    known: dict[str, Status] = {"engine_error": "engine_error", "timeout": "timeout", "too_long": "too_long"}
    return known.get(error.status, "engine_error")
