"""The data plane as a whole: its parts, its start, its end, and what it says of its health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NoReturn

from worker.config import Settings
from worker.exceptions.source import ExceptionSource, NoExceptions
from worker.judge.judgement import Judge
from worker.metrics import Metrics
from worker.policy.source import PolicySource
from worker.records import Rung
from worker.stream.cluster import Cluster
from worker.stream.committer import Committer
from worker.stream.delivery import Delivery
from worker.stream.gaps import Gaps
from worker.stream.group import Group
from worker.stream.intake import Intake
from worker.stream.opening import Opener
from worker.stream.pipeline import Pipeline
from worker.stream.publisher import Publisher
from worker.stream.refill import Refill
from worker.stream.shadow import Shadow
from worker.stream.shadow_output import ShadowOutput
from worker.stream.stall import BEAT_S
from worker.stream.state import State
from worker.stream.tasks import spawn
from worker.stream.vitals import Vitals

logger: Final = logging.getLogger(__name__)
#: What an end may take beside the drain, in all well under ten seconds.
_INTAKE_S: Final = 1.0
_COMMIT_S: Final = 3.0
_LEAVE_S: Final = 3.0


class DataPlane:
    """Kafka in, judge, Kafka out.

    The judge is built and warm, policies and exceptions are read before ``start``; they are ended by
    whoever made them.
    """

    def __init__(
        self,
        settings: Settings,
        judge: Judge,
        policies: PolicySource,
        metrics: Metrics,
        exceptions: ExceptionSource | None = None,
        others_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """Build the parts; nothing connects. ``others_busy`` tells whether somebody else uses the judge now.

        Raises:
            ConfigError: ``erasure = on`` without a ``digest_key`` that can be used.

        """
        exceptions = exceptions or NoExceptions()
        self._settings = settings
        self._state = State(settings, metrics)
        self._cluster = Cluster(settings)
        self._sealer = self._state.protection.sealer
        self._delivery = Delivery(settings, metrics, self._state.must_not_send)
        self._publisher = Publisher(self._state, self._delivery)
        rehearsed = ShadowOutput(settings, judge, exceptions=exceptions, protect=self._state.protection)
        self._shadow = Shadow(settings, judge, policies, metrics, rehearsed)
        self._pipeline = Pipeline(
            self._state,
            judge,
            policies,
            self._publisher,
            self._shadow.offer,
            exceptions,
            lambda: self._shadow.busy or others_busy(),
        )
        self._shadow.wait_while(lambda: self._pipeline.careful)
        gaps = Gaps(self._state, self._publisher)
        opener = Opener(settings, self._cluster)
        self._group = Group(self._state, self._cluster, opener, gaps, self._release)
        self._committer = Committer(self._state)
        self._refill = Refill(self._state, self._pipeline, gaps, self._group.halt)
        self._vitals = Vitals(self._state, judge, policies, exceptions, self._cluster, self._delivery)
        self._intake = Intake(self._state, self._group, gaps, self._pipeline, self._vitals.intake_waits_for)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    @property
    def joined(self) -> asyncio.Event:
        """Set while this worker is in the group and what it was assigned is open."""
        return self._group.joined

    @property
    def careful(self) -> bool:
        """Whether messages that were in the judge at an engine's death are judged one at a time now."""
        return self._pipeline.careful

    async def start(self) -> None:
        """Start to join and to work; returns at once, whether Kafka is there or not."""
        self._state.guard.beat()
        if self._sealer is not None:
            self._sealer.start()
        jobs = (
            self._intake.run(),
            self._refill.run(),
            self._committer.run(self._group),
            self._vitals.watch(self._pipeline),
            self._vitals.watch_kafka(),
            self._watch_for_stalls(),
        )
        self._tasks = [spawn(job, self._state.fail) for job in jobs]

    async def wait_failed(self) -> NoReturn:
        """Wait for the error that must end the process, and raise it.

        Raises:
            EngineDead: nothing can be judged any more.
            ReadBackFailed: doubles could not be ruled out.
            ConfigError: Kafka refuses this worker.
            WorkerError: a bug.

        """
        await self._state.failed.wait()
        assert self._state.failure is not None
        raise self._state.failure

    def unready(self) -> list[str]:
        """Return why this worker does not do its job now; empty means ready."""
        reasons = self._vitals.reasons()
        if not self.joined.is_set():
            reasons.append(self._intake.trouble or "the group is rebalancing")
        if self._committer.trouble is not None:
            reasons.append(self._committer.trouble)
        reasons += [f"partition {number} is halted: {why}" for number, why in self._group.halted.items()]
        return list(dict.fromkeys(reasons))

    def overload(self) -> dict[Rung, int]:
        """Return how many tenants are at each declared rung of the overload ladder; read from any thread."""
        return self._vitals.rungs

    def pause(self, reason: str) -> None:
        """Read nothing new until ``resume``; what is in flight is finished."""
        self._vitals.paused = f"paused: {reason}"

    def resume(self) -> None:
        """Read on."""
        self._vitals.paused = None

    def summary(self) -> str:
        """Return one line that says how the work goes."""
        state = self._state
        lag = sum(ledger.next_offset - ledger.watermark for ledger in state.ledger)
        degraded = "".join(f", {tenants} tenants at {rung}" for rung, tenants in self.overload().items() if tenants)
        return (
            f"{len(state.ledger)} partitions, {self._pipeline.in_judge} in the judge, {len(state.admission)} queued, "
            f"{len(state.deferred)} deferred, {state.buffer.messages} held, {lag} offsets open{degraded}"
        )

    async def stop(self) -> None:
        """End in order: read no more, drain, commit, leave the group. Safe to call twice.

        Takes at most ``drain_timeout_s`` and ten seconds, with Kafka there or not. After a failure
        nothing is drained: what is in flight stays open for the next owner.
        """
        if self._stopped:
            return
        self._stopped = True
        self._intake.stop()
        await self._give_back(self._settings.drain_timeout_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_INTAKE_S)
        await asyncio.gather(
            self._group.leave(_LEAVE_S),
            self._delivery.close(_LEAVE_S),
            self._refill.close(),
            self._cluster.close(),
            self._shadow.stop(_LEAVE_S),
        )
        if self._sealer is not None:
            await self._sealer.stop()

    async def _release(self, lost: bool) -> None:  # noqa: FBT001  (a callback)
        """Give all partitions back, because the group rebalances or this worker joins it anew."""
        if lost:
            self._state.close_ledgers()
        # Half of what the group allows: the other members wait.
        await self._give_back(min(self._settings.drain_timeout_s, self._settings.rebalance_timeout_s / 2))
        if not self._stopped:
            self._pipeline.resume()

    async def _give_back(self, patience_s: float) -> None:
        """Drop what is queued, drain what runs, commit, and drop what is left."""
        self._pipeline.hold()
        self._pipeline.drop_queued()
        if self._state.failure is None:
            await self._drain({ledger.partition for ledger in self._state.ledger}, patience_s)
        self._pipeline.abort()
        if self._group.consumer is not None:
            await self._committer.commit(self._group.consumer, _COMMIT_S)
        self._state.close_ledgers()
        await self._publisher.abandon()

    async def _drain(self, partitions: set[int], patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s):
                await self._pipeline.drained(partitions)
        except TimeoutError:
            logger.warning("not drained within %.0f s; what is left is judged by the next owner", patience_s)

    async def _watch_for_stalls(self) -> None:
        """Beat; after a stall drop everything that is not acknowledged. Intake joins anew then."""
        while True:
            await asyncio.sleep(BEAT_S)
            self._state.check_stall()
            if self._state.stalled.is_set():
                self._pipeline.abort()
                await self._publisher.abandon()
