"""The policies in force, kept up to date from Kafka.

A ``PolicyStore`` reads ``policy-history`` and then ``policies`` to their ends before anything is
judged, and follows both. A record that nobody has decided about is decided here; the decision is
written to ``policy-history``, read back from it, and only what was read back takes force. So workers
that race end with the same state: the first decision in the log counts, whoever wrote it. The worker
that wrote it sends a refused record to ``dead-letters``; one that dies between the two leaves the
refusal in ``policy-history`` alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import UNSET

from worker import clock, dead_letter, kafka
from worker.config import Settings
from worker.following import Follower
from worker.metrics import Metrics
from worker.policy.history import Book, Incoming, Place, decide_all, floor_first
from worker.policy.log import PolicyLog
from worker.policy.model import EffectivePolicy, Rehearsal
from worker.policy.outbox import Outbox, Outgoing
from worker.policy.scope import parse, shadow_key
from worker.policy.trials import Trials, Trier
from worker.records import PLATFORM, HistoryEntry, PolicyApplied, Source, encode

logger: Final = logging.getLogger(__name__)

#: Announcements and dead letters that may wait for Kafka.
ANNOUNCEMENTS: Final = 10_000
LETTERS: Final = 100
#: Each worker says anew what it holds at least so often: ``policy-applied`` keeps a month.
_SAY_AGAIN_S: Final = 24 * 3600.0


class PolicyStore:
    """The live ``PolicySource`` of a worker."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics | None = None,
        *,
        on_change: Callable[[str], None] | None = None,
        trier: Trier | None = None,
    ) -> None:
        """Hold the settings; nothing connects yet.

        Args:
            settings: addresses, prefix, deadlines and ``policy_max_age_s``.
            metrics: where refusals and the age of the policies are counted.
            on_change: called with a scope after its policy has changed.
            trier: judges golden cases; without one, records that have some wait for another worker.

        """
        self._settings = settings
        self._metrics = metrics
        self._on_change = on_change
        self._announcements = Outbox(settings, ANNOUNCEMENTS, metrics)
        self._letters = Outbox(settings, LETTERS, metrics)
        self._trials = Trials(trier)
        self._held: dict[Place, Incoming] = {}
        self._book = Book()
        self._cache: dict[tuple[str | None, str | None], EffectivePolicy | None] = {}
        self._rehearsing = False
        self._rehearsals: dict[tuple[str | None, str | None], tuple[Rehearsal, ...]] = {}
        self._said_all_at_s: float | None = None
        self._written: dict[Place, tuple[Incoming, HistoryEntry]] = {}
        self._following = Follower("policies", self._follow)
        if metrics is not None:
            metrics.policy_age_s.set_function(self.age_s)

    async def start(self) -> None:
        """Read both topics to their ends, waiting as long as Kafka is away or a topic is missing.

        Raises:
            CorruptPartition: a batch of a policy topic cannot be read.
            ConfigError: a policy topic has more than one partition, or Kafka refuses us.

        """
        await self._announcements.start()
        await self._letters.start()
        await self._trials.start()
        await self._following.start()

    async def stop(self) -> None:
        """Stop following, in bounded time. Safe to call twice."""
        await self._trials.stop()
        await self._following.stop()
        await asyncio.gather(self._announcements.stop(), self._letters.stop())

    @property
    def trouble(self) -> str | None:
        """Why policies cannot be followed right now, for whoever asks why the worker waits."""
        return self._following.trouble

    def resolve(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:
        """Return what this tenant's channel is judged under; None where there is no policy at all."""
        channel = f"{tenant_id}/{channel_id}" if channel_id is not None else None
        # Names without a record share an entry: strangers cannot fill the cache.
        tenant_key = tenant_id if self._book.in_force(tenant_id) else None
        key = (tenant_key, channel if channel and self._book.in_force(channel) else None)
        if key not in self._cache:
            self._cache[key] = self._book.effective(tenant_id, channel_id)
        return self._cache[key]

    def rehearsals(self, tenant_id: str, channel_id: str | None) -> tuple[Rehearsal, ...]:
        """Return what is tried beside the policy of this tenant's channel, floor first."""
        if not self._rehearsing:
            return ()
        key = (self._known(tenant_id), self._known(f"{tenant_id}/{channel_id}") if channel_id is not None else None)
        if key not in self._rehearsals:
            self._rehearsals[key] = self._book.rehearsals(tenant_id, channel_id)
        return self._rehearsals[key]

    def _known(self, scope: str) -> str | None:
        """Return a scope that has a record of its own, live or tried; strangers share an entry here too."""
        has_own = self._book.in_force(scope) or self._book.in_force(shadow_key(scope))
        return scope if has_own else None

    def stale(self) -> bool:
        """Tell whether the policies may be older than ``policy_max_age_s``."""
        return self.age_s() > self._settings.policy_max_age_s

    def age_s(self) -> float:
        """Seconds since everything in ``policies`` was last known to be in force (infinite before)."""
        return self._following.age_s()

    def scopes(self) -> list[str]:
        """Return the keys that have a record in force, those that are not live included."""
        return self._book.scopes()

    async def _follow(self) -> None:
        """Read everything afresh, put it in force, and follow until something fails."""
        log = PolicyLog(self._settings)
        try:
            await log.open()
            await self._catch_up(log)
            while not self._following.stopping:
                await self._step(log)
        finally:
            await log.close()

    async def _catch_up(self, log: PolicyLog) -> None:
        book = Book()
        self._held = {}
        async for entry in log.history():
            self._adopt(book, entry)
        await self._decide(log, book, floor_first(book, await log.policies()))
        self._put_in_force(book)
        self._following.caught_up()

    async def _step(self, log: PolicyLog) -> None:
        entries, records = await log.poll()
        if entries or records or self._held:
            # A copy, so that a failure half-way leaves what is in force as it is.
            book = self._book.copy()
            for entry in entries:
                self._adopt(book, entry)
            await self._decide(log, book, records)
            self._put_in_force(book)
        answered = log.answered()
        self._following.polled(answered=answered, found=bool(entries))
        if answered:
            self._say_again()

    async def _decide(self, log: PolicyLog, book: Book, records: Sequence[Incoming]) -> None:
        """Decide what is undecided, write it down, read it back, and take what was read.

        Records that wait for their golden cases are held, and asked about again each time.
        """
        records = [*self._held.values(), *records]
        made = decide_all(book, records, by=self._settings.instance, now=clock.utc_now(), gate=self._trials.gate)
        if made:
            self._written.update({record.place: (record, entry) for record, entry in made})
            await log.append(entry for _, entry in made)
            async for entry in log.history():
                self._adopt(book, entry)
        for record in records:
            book.see(record)
        self._held = {record.place: record for record in records if not book.is_decided(record)}
        self._trials.keep(tuple(self._held))

    def _adopt(self, book: Book, entry: HistoryEntry) -> None:
        """Take in a decision; if it is ours and a refusal, its record becomes a dead letter."""
        if not book.add(entry):
            return
        record, written = self._written.pop((entry.offset, entry.timestamp), (None, None))
        if record is not None and written == entry and entry.decision == "refused":
            self._bury(record, entry)

    def _put_in_force(self, book: Book) -> None:
        before, self._book = self._book, book
        changed = [one for one in {*before.scopes(), *book.scopes()} if before.in_force(one) != book.in_force(one)]
        for scope in sorted(changed):
            self._forget(scope)
        if changed:
            self._rehearsals.clear()
            self._rehearsing = any(parse(one).state == "shadow" for one in book.scopes())
        for scope in sorted(changed):
            self._tell(scope)
        if changed:
            logger.info("%d policies are in force, %d of them changed", len(book.scopes()), len(changed))

    def _forget(self, scope: str) -> None:
        if scope == PLATFORM:
            self._cache.clear()
        for key in [key for key in self._cache if scope in key]:
            del self._cache[key]

    def _tell(self, scope: str) -> None:
        # What was in force before this worker started did not wait for it.
        self._announce(scope, repeated=self._following.current_at_s is None)
        if self._on_change is not None:
            self._on_change(scope)

    def _say_again(self) -> None:
        """Announce everything once a day, since the topic forgets."""
        now_s = time.monotonic()
        if self._said_all_at_s is None:
            self._said_all_at_s = now_s
        elif now_s - self._said_all_at_s > _SAY_AGAIN_S:
            self._said_all_at_s = now_s
            for scope in self._book.scopes():
                self._announce(scope, repeated=True)

    def _announce(self, scope: str, *, repeated: bool) -> None:
        accepted, last = self._book.in_force(scope), self._book.last(scope)
        logger.debug("policy of %s is %s", scope, f"version {accepted.policy.version}" if accepted else "gone")
        applied = PolicyApplied(
            instance_id=self._settings.instance,
            scope=scope,
            version=accepted.policy.version if accepted else None,
            digest=accepted.digest if accepted else None,
            offset=last.offset if last else 0,
            applied_at=clock.utc_now(),
            repeated=repeated or UNSET,
        )
        self._announcements.put(
            Outgoing(
                topic=self._settings.topic("policy-applied"),
                key=scope.encode(),
                value=encode(applied),
                headers=kafka.cloud_event("policy-applied", self._settings.instance),
            )
        )

    def _bury(self, record: Incoming, entry: HistoryEntry) -> None:
        detail = f"{entry.field or 'record'}: expected {entry.reason}"
        logger.warning("policy record at offset %d is refused: %s", record.offset, detail)
        failure = dead_letter.Failure(stage="policy", error="PolicyInvalid", detail=detail)
        topic = self._settings.topic("policies")
        source = Source(topic=topic, partition=0, offset=record.offset, timestamp=record.timestamp)
        self._letters.put(
            Outgoing(
                topic=self._settings.topic("dead-letters"),
                key=record.key,
                value=record.value,
                headers=dead_letter.headers(record.headers, failure, source, entry.decided_at),
                # As every outcome: to the partition number that its record came from.
                partition=0,
            )
        )
        if self._metrics is not None:
            self._metrics.dead_letters.labels(stage="policy").inc()
