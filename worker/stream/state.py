"""What the parts of the data plane share."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from worker.config import Settings
from worker.errors import WorkerError
from worker.metrics import Metrics
from worker.stream.admission import Admission
from worker.stream.buffer import MIB, Buffer
from worker.stream.deferred import Deferred
from worker.stream.ledger import Ledger
from worker.stream.overload import Overload, declared
from worker.stream.protection import protection
from worker.stream.stall import StallGuard
from worker.stream.work import Work

logger: Final = logging.getLogger(__name__)
#: One tenant may hold this part of the memory for messages.
_TENANT_PART: Final = 4
#: Of one message so many revisions wait in memory; fewer where a tenant's queue could not fill the window otherwise.
SAME_ID_MESSAGES: Final = 16
#: A replay may take this part of the window: a full window delays live messages by a whole judgement.
_REPLAY_SHARE: Final = 0.75


class State:
    """Settings, books and counters of one worker.

    Attributes:
        settings: as read at the start.
        metrics: counters.
        buffer: what is held in memory.
        ledger: which offsets are done.
        admission: who is judged next.
        deferred: what is past its tenant's queue.
        overload: what is left out, by tenant.
        guard: notices that this process stood still.
        stalled: set when it did, or when the group was silent, until the group is joined anew.
        failure: the error that ends this worker; none while it is well.
        failed: set with ``failure``.
        protection: what happens to people's words before they are written.

    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Start empty.

        Raises:
            ConfigError: ``erasure = on`` without a ``digest_key`` that can be used.

        """
        self.settings = settings
        self.metrics = metrics
        self.buffer = Buffer(settings)
        # Deferred messages are in flight too, and two tenants may be far behind in one partition.
        self.ledger = Ledger(capacity=2 * settings.tenant_deferred_messages + settings.buffer_messages)
        self.deferred = Deferred(tenant_messages=settings.tenant_deferred_messages)
        self.admission: Admission[Work] = Admission(
            tenant_messages=settings.tenant_queue_messages,
            tenant_bytes=settings.buffer_mib * MIB // _TENANT_PART,
            same_id_messages=max(1, min(SAME_ID_MESSAGES, settings.tenant_queue_messages // settings.in_flight)),
            # Of what is held some is in the judge, and as much on its way out.
            messages=max(1, settings.buffer_messages // 2, settings.buffer_messages - 2 * settings.in_flight),
            size_bytes=settings.buffer_mib * MIB,
            replay_slots=max(1, int(settings.in_flight * _REPLAY_SHARE)),
        )
        self.overload = Overload(declared(settings), settings.overload_settle_s)
        self.guard = StallGuard(settings.session_timeout_s)
        self.stalled = asyncio.Event()
        self.failure: WorkerError | None = None
        self.failed = asyncio.Event()
        self.protection = protection(settings, metrics, self.fail)

    def close_ledgers(self) -> None:
        """Give every partition away: whatever still arrives for it is dropped."""
        for ledger in list(self.ledger):
            self.ledger.close(ledger.partition)

    def check_stall(self) -> None:
        """Give every partition away if this process stood still or is cut off: others may own them already."""
        stalled_s, silent_s = self.guard.stalled_s(), self.guard.silent_s()
        if stalled_s or silent_s:
            what = "this process stood still" if stalled_s else "the group has not answered"
            text = "%s for %.1f s; what is not published is left to the next owner"
            logger.error(text, what, stalled_s or silent_s)
            self.close_ledgers()
            self.stalled.set()
            self.guard.left()
        self.guard.beat()

    def must_not_send(self) -> bool:
        """Tell whether the partitions may be someone else's: asked right before bytes leave for Kafka."""
        return self.stalled.is_set() or self.guard.stalled_s() > 0 or self.guard.silent_s() > 0

    def fail(self, error: WorkerError) -> None:
        """Note an error that must end the worker; the first one counts."""
        if self.failure is None:
            self.failure = error
            self.failed.set()
