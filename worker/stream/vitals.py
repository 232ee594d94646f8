"""What is wrong, asked at intervals: the engine, the policies, publishing, Kafka itself."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Final

from worker.credentials import absent_text
from worker.errors import ConfigError, EngineDead, StreamError
from worker.exceptions.source import ExceptionSource
from worker.judge.judgement import Judge
from worker.policy.source import PolicySource
from worker.records import Rung
from worker.stream.cluster import COMMANDS, Cluster, missing
from worker.stream.delivery import Delivery
from worker.stream.pipeline import Pipeline
from worker.stream.state import State

logger: Final = logging.getLogger(__name__)
#: A send that takes longer says that publishing does not work.
PUBLISH_PATIENCE_S: Final = 10.0
_WATCH_S: Final = 1.0
_ASK_KAFKA_S: Final = 5.0
_STALE: Final = "policies may be old: the policy topic has been silent for too long; is Kafka running?"
_STALE_EXCEPTIONS: Final = "exceptions may be old: their topic has been silent for too long; is Kafka running?"


class Vitals:
    """Watches what the data plane depends on.

    Attributes:
        paused: why an operator wants nothing to be read; none normally.
        rungs: how many tenants are at each declared rung of the overload ladder; replaced as a whole.

    """

    def __init__(
        self,
        state: State,
        judge: Judge,
        policies: PolicySource,
        exceptions: ExceptionSource,
        cluster: Cluster,
        delivery: Delivery,
    ) -> None:
        """Nothing is known yet."""
        self._state = state
        self._judge = judge
        self._policies = policies
        self._exceptions = exceptions
        self._cluster = cluster
        self._delivery = delivery
        self._kafka_trouble: str | None = None
        self._deaf = False
        self.paused: str | None = None
        self.rungs: dict[Rung, int] = {}

    def intake_waits_for(self) -> str | None:
        """Return why nothing may be read now, or none."""
        if self._state.failure is not None:
            return str(self._state.failure)
        if self._policies.stale():
            return _STALE
        if self._exceptions.stale():
            return _STALE_EXCEPTIONS
        sealer = self._state.protection.sealer
        return self.paused or self._publish_trouble() or (sealer.trouble if sealer is not None else None)

    def reasons(self) -> list[str]:
        """Return everything that is wrong."""
        waits_for = self.intake_waits_for()
        found = [waits_for, self._kafka_trouble]
        return [reason for reason in found if reason is not None]

    async def watch(self, pipeline: Pipeline) -> None:
        """Check the engine and set the gauges until cancelled.

        Raises:
            EngineDead: the engine is gone, or makes no steps although it has work.

        """
        loop, metrics = asyncio.get_running_loop(), self._state.metrics
        # Counted when they are asked for, by the web server's thread.
        metrics.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        metrics.heap_blocks.set_function(sys.getallocatedblocks)
        while True:
            try:
                self._judge.check()
            except EngineDead:
                pipeline.note_death()
                raise
            self._set_gauges(pipeline)
            await asyncio.sleep(_WATCH_S)

    async def watch_kafka(self) -> None:
        """Ask Kafka for its topics until cancelled: aiokafka's own retries tell nobody that it is away."""
        while True:
            try:
                counts = await self._cluster.partition_counts()
                absent = missing(self._state.settings, counts)
                self._look_for_commands(counts)
                self._kafka_trouble = absent_text(absent[0]) if absent else None
            except (StreamError, ConfigError) as error:
                self._kafka_trouble = str(error)
            await asyncio.sleep(_ASK_KAFKA_S if self._kafka_trouble is None else _WATCH_S)

    def _look_for_commands(self, counts: dict[str, int]) -> None:
        """Say once that no command comes through: Faust passes over a topic that it does not see."""
        topic = self._state.settings.topic(COMMANDS)
        deaf = topic not in counts
        if deaf and not self._deaf:
            logger.warning("no command is obeyed: %s", absent_text(topic))
        self._deaf = deaf

    def _publish_trouble(self) -> str | None:
        waiting_s = self._delivery.waiting_s
        if waiting_s > PUBLISH_PATIENCE_S:
            return f"publishing has waited for {waiting_s:.0f} s; is Kafka running?"
        return self._delivery.trouble

    def _set_gauges(self, pipeline: Pipeline) -> None:
        metrics, state = self._state.metrics, self._state
        metrics.in_flight.set(pipeline.in_judge)
        metrics.queued.labels("live").set(state.admission.queued("live"))
        metrics.queued.labels("replay").set(state.admission.queued("replay"))
        metrics.deferred.set(len(state.deferred))
        metrics.held_bytes.set(state.buffer.bytes)
        metrics.suspects.set(sum(ledger.suspects for ledger in state.ledger))
        metrics.policies_stale.set(self._policies.stale())
        self.rungs = state.overload.tenants(lambda one: state.admission.waits(one) or state.deferred.waits(one))
        for rung, tenants in self.rungs.items():
            metrics.overloaded_tenants.labels(rung).set(tenants)
        # Partitions that were given away are someone else's to report.
        metrics.watermark_lag.clear()
        for ledger in state.ledger:
            metrics.watermark_lag.labels(str(ledger.partition)).set(ledger.next_offset - ledger.watermark)
