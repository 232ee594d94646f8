"""The exceptions in force, kept up to date from Kafka, and the refusal of records that are none.

Each worker reads the whole topic before it judges, and follows it. What a message falls under is decided
by Kafka's time of the message, not by when this worker read what.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Final, Literal

from worker.config import Settings
from worker.exceptions.accept import Accepted, Incoming
from worker.exceptions.book import Book, Version
from worker.exceptions.fingerprint import Fingerprinter, fingerprinter
from worker.exceptions.log import ExceptionLog
from worker.exceptions.refusals import Refusals
from worker.following import Follower
from worker.metrics import Metrics
from worker.policy.source import PolicySource
from worker.records import Message

logger: Final = logging.getLogger(__name__)

_MS: Final = 1000

State = Literal["in_force", "expired", "refused", "deleted"]


def state_of(version: Version, now_ms: float) -> State:
    """Return what a key's newest version is at a time, in milliseconds since 1970."""
    if version.accepted is None:
        return "refused" if version.refusal is not None else "deleted"
    return "in_force" if now_ms < version.accepted.until_ms else "expired"


class ExceptionStore:
    """The live ``ExceptionSource`` of a worker."""

    def __init__(self, settings: Settings, policies: PolicySource, metrics: Metrics) -> None:
        """Hold the parts; nothing connects yet.

        Args:
            settings: addresses, prefix, ``digest_key`` and ``policy_max_age_s``.
            policies: what says which categories are the floor's.
            metrics: where exceptions and refusals are counted.

        """
        self._settings = settings
        self._policies = policies
        self._metrics = metrics
        self._fingerprinter: Fingerprinter | None = None
        self._book = Book(None)
        self._refusals: Refusals | None = None
        self._following = Follower("exceptions", self._follow)
        metrics.exception_age_s.set_function(self.age_s)
        for state in ("in_force", "expired", "refused"):
            metrics.exceptions.labels(state).set_function(partial(self._count, state))

    async def start(self) -> None:
        """Read the topic to its end, waiting as long as Kafka is away or the topic is missing.

        Raises:
            CorruptPartition: a batch cannot be read.
            ConfigError: ``digest_key`` cannot be used, or Kafka refuses us.

        """
        self._fingerprinter = fingerprinter(self._settings)
        self._refusals = Refusals(self._settings, self._fingerprinter, self._policies, self._metrics)
        await self._refusals.start()
        await self._following.start()

    async def stop(self) -> None:
        """Stop following, in bounded time. Safe to call twice."""
        if self._refusals is not None:
            await self._refusals.stop()
        await self._following.stop()

    @property
    def trouble(self) -> str | None:
        """Why exceptions cannot be followed right now, for whoever asks why the worker waits."""
        return self._following.trouble

    def matching(self, message: Message, time_ms: int) -> tuple[Accepted, ...]:
        """Return the exceptions that a message of a time falls under, in Kafka's milliseconds."""
        return self._book.matching(message, time_ms)

    def stale(self) -> bool:
        """Tell whether the topic has been silent for longer than ``policy_max_age_s``."""
        return self.age_s() > self._settings.policy_max_age_s

    def age_s(self) -> float:
        """Seconds since everything in the topic was last known here (infinite before)."""
        return self._following.age_s()

    def _count(self, state: State) -> int:
        now_ms = time.time() * _MS
        return sum(state_of(version, now_ms) == state for version in self._book.newest().values())

    async def _follow(self) -> None:
        """Read everything afresh, and follow until something fails or the topic grows."""
        log = ExceptionLog(self._settings)
        try:
            await log.open()
            book = Book(self._fingerprinter)
            _add(book, await log.to_end())
            self._book = book
            self._following.caught_up()
            logger.info("%d keys of exceptions are known", len(book))
            await self._keep_up(log)
        finally:
            await log.close()

    async def _keep_up(self, log: ExceptionLog) -> None:
        while not self._following.stopping and not log.grown():
            records = await log.poll()
            _add(self._book, records)
            self._following.polled(answered=log.answered(), found=bool(records))


def _add(book: Book, records: list[Incoming]) -> None:
    for record in records:
        version = book.add(record)
        if version.refusal is not None:
            where = f"partition {record.partition} offset {record.offset}"
            logger.warning("exception at %s allows nothing: %s", where, version.refusal)
