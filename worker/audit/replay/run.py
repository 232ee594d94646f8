"""A replay: messages of a range judged again, into topics of its own, by as many workers as join.

Workers of a run form a consumer group of the run's name, which shares the partitions; it is used for
that and for one commit per partition at its end. A worker that dies leaves nothing behind but what it
has published: whoever gets its partitions reads that back and goes on. So a killed run is resumed by
joining it, and it does not matter whether one machine or ten do so.

A replay runs in a process and on an engine of its own, with a small window: vLLM's priority does not
preempt where all slots are full, so a replay that shared the live engine would hold up live traffic.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRebalanceListener, TopicPartition
from msgspec import structs

from worker import kafka
from worker.audit.replay import plan as plans
from worker.audit.replay.exceptions import read_exceptions
from worker.audit.replay.output import ReplayOutput, replay_settings
from worker.audit.replay.partition import Tools, replay_partition
from worker.audit.replay.plan import ReplayPlan
from worker.audit.replay.policies import history_end, read_archive, resolver
from worker.backoff import Backoff
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.errors import AuditError, BrokerAway, OwnershipLost, PublishFailed, WorkerError
from worker.judge.judgement import Judge
from worker.kafka_errors import translated
from worker.replay_records import ReplayCounts, ReplayRange, ReplayRun
from worker.stream.cluster import Cluster
from worker.stream.stall import BEAT_S, StallGuard
from worker.stream.tasks import spawn

logger: Final = logging.getLogger(__name__)
#: Messages of one replaying worker in the judge at once, where nobody says otherwise.
MAX_IN_FLIGHT: Final = 8
#: Partitions at once: the second fills the window while the first one's last messages are judged.
_AT_ONCE: Final = 2
_DONE_POLL_S: Final = 1.0
_MAX_POLL_INTERVAL_MS: Final = 24 * 3600 * 1000


async def start_run(settings: Settings, plan: ReplayPlan, judge: Judge) -> ReplayRun:
    """Fix what a new run replays, start the judge, and write the run's first record.

    The ends of all logs are taken before the judge is started.

    Raises:
        UsageError: a range that does not exist.
        AuditError: there is nothing in the range.
        PolicyInvalid: the file's policy could not come into force.
        StreamError: Kafka is away, or a topic is missing.
        EngineDead: the engine did not come up.

    """
    plan = structs.replace(plan, policies=structs.replace(plan.policies, history_end=await history_end(settings)))
    found = await plans.ranges(settings, plan)
    if not any(part.start < part.end for part in found):
        text = f"there is no message in this range of {settings.topic('messages')}; check --from, --to and --offsets"
        raise AuditError(text)
    # Only to refuse a bad policy before the engine is built.
    resolver(plan.policies, await read_archive(settings, plan.policies.history_end))
    await judge.start()
    run = plans.started(settings, plan, found, judge.model)
    await plans.write_run(settings, run)
    return run


async def join_run(settings: Settings, run_id: str, judge: Judge) -> ReplayRun:
    """Find a run and start the judge that it wants; one that has ended needs none.

    Raises:
        AuditError: there is no such run, or it was begun with another model.
        StreamError: Kafka is away, or a topic is missing.
        EngineDead: the engine did not come up.

    """
    run = await plans.find_run(settings, run_id)
    if run.state == "finished":
        return run
    if run.topic != settings.topic("messages"):
        text = f"replay {run_id} is of {run.topic}; give --topic-prefix as when it was started"
        raise AuditError(text)
    await judge.start()
    if judge.model.fingerprint != run.model.fingerprint:
        names = f"{run.model.name}, and {judge.model.name} with these settings is another model"
        text = f"replay {run_id} was started with {names}; give the same --model and engine settings"
        raise AuditError(text)
    return run


async def work(
    settings: Settings,
    run: ReplayRun,
    judge: Judge,
    *,
    max_in_flight: int = MAX_IN_FLIGHT,
    on_outcome: Callable[[], None] = lambda: None,
) -> ReplayRun:
    """Work on a run until all of it is done, by whomever, and return its last record.

    Args:
        settings: the worker's; the run gets a group and a client id of its own.
        run: from ``start_run`` or ``join_run``.
        judge: warm.
        max_in_flight: messages in judge and publisher at once.
        on_outcome: called after each outcome that this worker publishes.

    While Kafka is away it waits, however long.

    Raises:
        StreamError: a topic is gone or cannot be read; joining the run again goes on with it.
        EngineDead: nothing can be judged any more; as above.

    """
    if run.state == "finished":
        return run
    own = replay_settings(settings, run.run_id)
    archive = await read_archive(own, run.policies.history_end)
    tools = Tools(
        settings=own,
        run=run,
        judge=judge,
        resolver=resolver(run.policies, archive),
        output=ReplayOutput(own, run.run_id, judge.model, await read_exceptions(own)),
        slots=asyncio.Semaphore(max_in_flight),
        on_outcome=on_outcome,
    )
    backoff = Backoff()
    try:
        await tools.output.start()
        while True:
            try:
                return await _finish(own, run, await _Member(tools).until_done())
            except OwnershipLost as error:
                logger.warning("joining the run anew: %s", error)
            except (BrokerAway, PublishFailed) as error:
                # The engine stays warm meanwhile, and what was published is read back.
                logger.warning("waiting for Kafka: %s", error)
                await backoff.wait()
    finally:
        await tools.output.close()


async def _finish(settings: Settings, run: ReplayRun, counts: ReplayCounts) -> ReplayRun:
    """Write the run's end, unless somebody has; the first one counts."""
    known = await plans.find_run(settings, run.run_id)
    if known.state == "finished":
        return known
    last = plans.finished(settings, run, counts)
    await plans.write_run(settings, last)
    return last


class _Lease:
    """The right to write, from an assignment to the next one."""

    def __init__(self, consumer: Any, guard: StallGuard) -> None:
        self._consumer = consumer
        self._guard = guard
        self.ended = False

    def check(self) -> None:
        """Return while the partitions are surely ours.

        Raises:
            OwnershipLost: they may be someone else's.

        """
        if self.ended or self._guard.stalled_s() or not kafka.is_member(self._consumer):
            self.ended = True
            text = "the partitions may be another worker's by now"
            raise OwnershipLost(text)


class _Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One membership in the run's group; after an error another one is made."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._settings = tools.settings
        self._topic = tools.settings.topic("messages")
        self._ranges = {part.partition: part for part in tools.run.ranges if part.start < part.end}
        self._guard = StallGuard(tools.settings.session_timeout_s)
        self._cluster = Cluster(tools.settings)
        self._consumer: Any = None
        self._lease: _Lease | None = None
        self._task: asyncio.Task[None] | None = None
        self._failure: WorkerError | None = None
        self._stalled = False
        tools.output.fence(self._must_not_send)

    async def until_done(self) -> ReplayCounts:
        """Take a share of the partitions until all of the run's are done; return the sum of their counts."""
        consumer = kafka.make_consumer(
            self._settings, group_id=self._settings.group_id, max_poll_interval_ms=_MAX_POLL_INTERVAL_MS
        )
        self._consumer = consumer
        consumer.subscribe([self._topic], listener=self)
        # A member that was killed holds the group up until its session ends.
        patience_s = self._settings.rebalance_timeout_s + self._settings.kafka_timeout_s
        beating = asyncio.create_task(self._beat())
        try:
            await kafka.start(consumer, self._settings, timeout_s=patience_s)
            return await self._until_done()
        finally:
            beating.cancel()
            await self._give_up()
            await kafka.close(consumer)
            await self._cluster.close()

    async def _until_done(self) -> ReplayCounts:
        while True:
            # Everything is paused: this only lets aiokafka say what is wrong.
            with translated("working in the run's group"):
                await self._consumer.getmany(timeout_ms=round(_DONE_POLL_S * 1000))
            self._tools.judge.check()
            if self._failure is not None:
                raise self._failure
            done = await self._done()
            if done.keys() >= self._ranges.keys():
                return _sum(done.values())

    async def _beat(self) -> None:
        """Beat; after a stall give up at once what is not acknowledged, before anything else can be sent."""
        while True:
            await asyncio.sleep(BEAT_S)
            lease, stalled_s = self._lease, self._guard.stalled_s()
            if stalled_s and (lease is not None or self._tools.output.busy):
                self._stalled = True
                if lease is not None:
                    lease.ended = True
                text = f"this process stood still for {stalled_s:.0f} s, so the partitions may be someone else's"
                self._fail(OwnershipLost(text))
                await self._tools.output.abandon()
            self._guard.beat()

    def _must_not_send(self) -> bool:
        return self._stalled or self._guard.stalled_s() > 0

    async def _done(self) -> dict[int, ReplayCounts]:
        """Return the counts of the partitions that are done."""
        commits = await self._cluster.committed(self._ranges)
        found = {}
        for number, point in commits.items():
            if point.offset >= self._ranges[number].end:
                found[number] = _read_counts(point.metadata)
        return found

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002  (all of them)
        """Stop judging, and let what is being published arrive: the next owner reads it back."""
        await self._give_up()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin with what is assigned, in a task: no heartbeat is sent in here."""
        self._consumer.pause(*assigned)
        for partition in assigned:
            # Never read with this consumer; without a position aiokafka would look for one.
            self._consumer.seek(partition, 0)
        lease = self._lease = _Lease(self._consumer, self._guard)
        mine = [self._ranges[one.partition] for one in assigned if one.partition in self._ranges]
        logger.info("partitions %s are this worker's", sorted(part.partition for part in mine))
        self._task = spawn(self._replay(mine, lease), self._fail)

    def _fail(self, error: WorkerError) -> None:
        self._failure = self._failure or error

    async def _give_up(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.ended = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._tools.output.settle(self._settings.drain_timeout_s)

    async def _replay(self, mine: list[ReplayRange], lease: _Lease) -> None:
        """Replay partitions, a few at once."""
        done = await self._done()
        waiting = [part for part in sorted(mine, key=lambda part: part.partition) if part.partition not in done]
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_AT_ONCE):
                    group.create_task(self._replay_each(waiting, lease))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _replay_each(self, waiting: list[ReplayRange], lease: _Lease) -> None:
        while waiting:
            part = waiting.pop(0)
            counts = await replay_partition(self._tools, part, lease.check)
            lease.check()
            place = TopicPartition(self._topic, part.partition)
            with translated("committing the end of a partition"):
                async with asyncio.timeout(self._settings.kafka_timeout_s):
                    await self._consumer.commit({place: (part.end, msgspec.json.encode(counts).decode())})
            logger.info("partition %d is done: %d outcomes", part.partition, counts.judged)


def _read_counts(metadata: str) -> ReplayCounts:
    try:
        return msgspec.json.decode(metadata.encode(), type=ReplayCounts)
    except (*UNREADABLE, UnicodeEncodeError):
        return ReplayCounts()


def _sum(counts: Iterable[ReplayCounts]) -> ReplayCounts:
    every = list(counts)
    return ReplayCounts(**{name: sum(getattr(one, name) for one in every) for name in ReplayCounts.__struct_fields__})
