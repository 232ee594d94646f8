"""One partition of a replay: read, choose, judge, publish; each offset once, however often it is begun.

What the run has published is read back first, so a partition may be taken up anywhere by anybody. The
messages are then read from the range's start: reading is cheap beside judging, and so the counts at the
end are those of the whole range, whoever judged what.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.audit.replay.originals import Original, Originals, Written, read_written
from worker.audit.replay.output import Judged, ReplayOutput
from worker.audit.replay.plan import is_control, wants_message, wants_original
from worker.audit.replay.policies import Resolver
from worker.backoff import Backoff
from worker.config import Settings
from worker.errors import AuditError, DecodeError, EngineAborted, EngineDead, EngineError
from worker.judge.judgement import UNSPOKEN, Judge, Judgement
from worker.policy.model import EffectivePolicy
from worker.records import Message, Status, decode_message, or_none
from worker.replay_records import ReplayCounts, ReplayRange, ReplayRun

logger: Final = logging.getLogger(__name__)
#: An engine that cuts the same message short so often will not answer any more.
_MOST_ABORTS: Final = 10
#: Replayed messages come after live ones, where an engine knows priorities.
_PRIORITY: Final = 1
_MS: Final = 1000.0
_STATUSES: Final[dict[str, Status]] = {"engine_error": "engine_error", "timeout": "timeout", "too_long": "too_long"}


class Tools(Struct, frozen=True, kw_only=True):
    """What all partitions of one worker share.

    Attributes:
        settings: those of ``replay_settings``.
        run: what to do.
        judge: warm.
        resolver: what messages are judged under.
        output: where outcomes go.
        slots: the window: how many messages of this worker are in judge and publisher at once.
        on_outcome: called after each outcome, for whoever shows progress.

    """

    settings: Settings
    run: ReplayRun
    judge: Judge
    resolver: Resolver
    output: ReplayOutput
    slots: asyncio.Semaphore
    on_outcome: Callable[[], None]


class Chosen(Struct, frozen=True, kw_only=True):
    """A message to be judged, and under what."""

    record: Any
    message: Message
    policy: EffectivePolicy | None
    wants_control: bool


async def replay_partition(tools: Tools, part: ReplayRange, may_write: Callable[[], None]) -> ReplayCounts:
    """Replay a range to its end, and return what became of its offsets.

    Cancelling it stops the judging; what is being published then is settled by ``ReplayOutput.settle``.

    Raises:
        BrokerAway: Kafka stopped answering.
        EngineDead: nothing can be judged any more.
        OwnershipLost: as ``may_write`` says.

    """
    async with kafka.reader(tools.settings) as messages, kafka.reader(tools.settings) as verdicts:
        return await _Replay(tools, part, may_write, messages, verdicts).run()


class _Replay:
    """The state of one partition while it is replayed."""

    def __init__(
        self, tools: Tools, part: ReplayRange, may_write: Callable[[], None], messages: Any, verdicts: Any
    ) -> None:
        self._tools = tools
        self._run = tools.run
        self._range = part
        self._may_write = may_write
        self._messages = messages
        self._verdicts = verdicts
        self._originals = Originals(tools.settings, verdicts, part)
        self._written = self._control = Written(part)
        self._counts: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def run(self) -> ReplayCounts:
        settings, part = self._tools.settings, self._range
        # With the same consumer as the originals afterwards: it is assigned anew.
        self._written, self._control = await read_written(settings, self._verdicts, part, self._run.run_id)
        if len(self._written):
            logger.info("partition %d: %d outcomes of this run are there", part.partition, len(self._written))
        try:
            await self._read()
            while self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._raise_failure()
            self._raise_failure()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return ReplayCounts(**self._counts)

    async def _read(self) -> None:
        settings, part = self._tools.settings, self._range
        source = TopicPartition(settings.topic("messages"), part.partition)
        self._messages.assign([source])
        first, end = (await kafka.bounds(self._messages, [source]))[source]
        if end < part.end:
            text = (
                f"{source.topic}/{source.partition} ends at {end}, and the run at {part.end}; was the topic made anew?"
            )
            raise AuditError(text)
        start = min(max(first, part.start), part.end)
        self._counts["gone"] = sum(offset not in self._written for offset in range(part.start, start))
        self._messages.seek(source, start)
        async for record in kafka.read(self._messages, source, part.end, settings.kafka_timeout_s):
            self._counts["read"] += 1
            chosen = await self._choose(record)
            if chosen is not None:
                await self._begin(chosen)

    async def _choose(self, record: Any) -> Chosen | None:
        """Decide whether a record is replayed; what is left out is counted."""
        message = _decoded(record.value)
        if message is None:
            self._counts["skipped"] += 1
            return None
        if not wants_message(self._run.filter, message, record.timestamp):
            self._counts["filtered"] += 1
            return None
        original = await self._original(record, message)
        if original is None and self._tools.resolver.needs_original:
            self._counts["without_original"] += 1
            return None
        if not wants_original(self._run.filter, original):
            self._counts["filtered"] += 1
            return None
        try:
            policy = self._tools.resolver.resolve(message, original.policy if original else None)
            if policy is not None and original is not None and self._tools.resolver.repeats_rungs:
                policy = policy.at(original.rung)
        except AuditError:
            self._counts["unresolved"] += 1
            return None
        self._counts["judged"] += 1
        share, number = self._run.control_share, record.partition
        wants_control = share > 0 and is_control(self._run.run_id, number, record.offset, share)
        self._counts["control"] += wants_control
        return Chosen(record=record, message=message, policy=policy, wants_control=wants_control)

    async def _original(self, record: Any, message: Message) -> Original | None:
        """Find the original verdict; it is not looked for where nobody asks."""
        if not (self._tools.resolver.needs_original or self._run.filter.labels or self._run.filter.categories):
            return None
        return await self._originals.find(record.offset, record.timestamp, message.message_id)

    async def _begin(self, chosen: Chosen) -> None:
        """Judge in a task of its own, once there is a slot; nothing to do where all is published."""
        offset = chosen.record.offset
        needs_control = chosen.wants_control and offset not in self._control
        if offset in self._written and not needs_control:
            return
        await self._tools.slots.acquire()
        if self._failure is not None:
            self._tools.slots.release()
            self._raise_failure()
        task = asyncio.create_task(self._finish(chosen, needs_control=needs_control))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._tools.slots.release()
        error = None if task.cancelled() else task.exception()
        self._failure = self._failure or error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _finish(self, chosen: Chosen, *, needs_control: bool) -> None:
        """Judge and publish, and once more for the control: later, so in other company on the engine."""
        if chosen.record.offset not in self._written:
            await self._judge(chosen, is_control=False)
            self._tools.on_outcome()
        if needs_control:
            await self._judge(chosen, is_control=True)

    async def _judge(self, chosen: Chosen, *, is_control: bool) -> None:
        began_s = time.monotonic()
        judgement = await _judgement(self._tools.judge, chosen)
        judged = Judged(
            record=chosen.record,
            message=chosen.message,
            policy=chosen.policy,
            judgement=judgement,
            total_ms=(time.monotonic() - began_s) * _MS,
            is_control=is_control,
        )
        await self._tools.output.publish(judged, self._may_write)


def _decoded(value: bytes | None) -> Message | None:
    if value is None:
        return None
    try:
        return decode_message(value)
    except DecodeError:
        return None


async def _judgement(judge: Judge, chosen: Chosen) -> Judgement:
    """Judge as live traffic is judged: the same statuses for the same failures.

    Raises:
        EngineDead: the engine is gone, or answers nothing but aborts.

    """
    if chosen.policy is None:
        return Judgement(status="policy_missing")
    if not chosen.policy.calls_for(or_none(chosen.message.language)):
        return UNSPOKEN
    if chosen.policy.rung == "hold":
        return Judgement(status="overloaded")
    backoff = Backoff(most_s=1.0)
    for _ in range(_MOST_ABORTS):
        try:
            return await judge.judge(chosen.message, chosen.policy, priority=_PRIORITY)
        except EngineAborted:
            await backoff.wait()
        except EngineDead:
            raise
        except EngineError as error:
            return Judgement(status=_STATUSES.get(error.status, "engine_error"))
        except Exception as error:  # noqa: BLE001  (as live: a bug that one message hits must not stop the others)
            # Its text may hold the message's, so only its class is logged.
            logger.error("judging offset %d raised %s", chosen.record.offset, type(error).__name__)  # noqa: TRY400
            return Judgement(status="engine_error")
    text = f"the engine cut a message short {_MOST_ABORTS} times; look at its log"
    raise EngineDead(text)
