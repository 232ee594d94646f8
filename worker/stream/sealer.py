"""Sealing keys of one worker: made when a subject is first seen, published before anything under them, held while used.

Each worker makes keys of its own: several for one subject do no harm, since an erasure takes them all, and
so nobody has to ask anybody before sealing. What is held is bounded; who comes back later gets another key.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import OrderedDict
from typing import Any, Final

from aiokafka import ConsumerRecord, TopicPartition
from prometheus_client import Counter

from worker import kafka
from worker.backoff import Backoff
from worker.config import Settings
from worker.digests import Digests
from worker.erasure.erased import Erased
from worker.erasure.subject_keys import ERASURES, KEYS, erasure_of, row_of, unavailable, verify_keys
from worker.erasure.subjects import Names, Subject
from worker.errors import ConfigError, StreamError, WorkerError, WrongDigestKey
from worker.kafka_errors import translated
from worker.sealing import SealingKey, new_key
from worker.stream.delivery import Delivery
from worker.stream.tasks import Fail, spawn
from worker.stream.work import Row

_CLOSE_S: Final = 2.0
#: A key that takes longer says that publishing keys does not work.
_PATIENCE_S: Final = 10.0


class Sealer:
    """Gives each subject its key, and follows ``erasures`` so that an erased one gets no use out of its old key.

    Attributes:
        trouble: why keys cannot be relied on now; none while they can.

    """

    def __init__(self, settings: Settings, digests: Digests, delivery: Delivery, made: Counter, fail: Fail) -> None:
        """Connect nothing yet.

        Args:
            settings: addresses and how many keys to hold.
            digests: with the ``digest_key`` that names subjects.
            delivery: writes keys; nothing else may use it.
            made: counts keys.
            fail: told of what must end the process.

        Raises:
            ConfigError: there is no ``digest_key``, or it can be guessed.

        """
        self._settings = settings
        self._names = Names(digests)
        self._delivery = delivery
        self._made = made
        self._tell = fail
        self._held: OrderedDict[str, SealingKey] = OrderedDict()
        self._erased = Erased()
        self._waiting: list[Row] = []
        self._minted = self._written = 0
        self._arrived = asyncio.Event()
        self._heard = asyncio.Event()
        self._heard_s = time.monotonic()
        self._position: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: WorkerError | None = None
        self._reading: str | None = f"{settings.topic(ERASURES)} is being read"

    @property
    def trouble(self) -> str | None:
        """Why nothing new may be read: keys cannot be published, or erasures cannot be seen."""
        silent_s = time.monotonic() - self._heard_s
        if self._reading is None and silent_s > self._settings.policy_max_age_s:
            return f"{self._settings.topic(ERASURES)} has been silent for {silent_s:.0f} s; is Kafka running?"
        if self._delivery.waiting_s > _PATIENCE_S:
            return f"{self._settings.topic(KEYS)} has not taken a key for {self._delivery.waiting_s:.0f} s"
        return self._reading or self._delivery.trouble

    def start(self) -> None:
        """Begin to follow ``erasures``; returns at once, whether Kafka is there or not."""
        self._spawn(self._follow())

    async def ready(self) -> None:
        """Wait until every erasure up to now is known.

        Raises:
            WrongDigestKey: the keys that are there were named under another ``digest_key``.

        """
        await self._heard.wait()
        self._raise_failure()

    def key(self, subject: Subject, sent_ms: int) -> SealingKey:
        """Return the key for words of a subject in a message that Kafka stamped ``sent_ms``.

        Words from before an erasure of the subject are sealed under a key that is published as erased: its
        secret is in this process alone, and goes with it.
        """
        name = self._names.name(subject)
        erased_ms = self._erased.until_ms(name)
        is_erased = erased_ms is not None and sent_ms <= erased_ms
        if subject.kind == "record":
            # Nobody comes back to it, so it would only push others out.
            return self._make(name, erased_ms if is_erased else None)
        slot = f"{name}/erased" if is_erased else name
        held = self._held.get(slot)
        if held is None:
            held = self._held[slot] = self._make(name, erased_ms if is_erased else None)
            while len(self._held) > self._settings.subject_keys_held:
                self._held.popitem(last=False)
        self._held.move_to_end(slot)
        return held

    async def published(self) -> None:
        """Wait until every key that was given out up to now is acknowledged by Kafka, however long that takes."""
        wanted = self._minted
        while self._written < wanted:
            self._raise_failure()
            await self._arrived.wait()

    async def stop(self) -> None:
        """End both clients; keys that are not acknowledged have sealed nothing that was written."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        await self._delivery.close(_CLOSE_S)

    def _make(self, name: str, erased_ms: int | None) -> SealingKey:
        made = new_key()
        erased_at = None if erased_ms is None else dt.datetime.fromtimestamp(erased_ms / 1000, dt.UTC)
        key, value = row_of(name, made, dt.datetime.now(dt.UTC), erased_at)
        self._waiting.append(Row(key, value, list(kafka.cloud_event("subject-key", self._settings.instance))))
        self._minted += 1
        self._made.inc()
        if len(self._waiting) == 1:
            self._spawn(self._write())
        return made

    async def _write(self) -> None:
        """Publish what waits; what is made meanwhile goes with the next batch."""
        while self._waiting:
            rows = list(self._waiting)
            await self._delivery.write(self._settings.topic(KEYS), 0, rows)
            del self._waiting[: len(rows)]
            self._written += len(rows)
            self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = asyncio.Event()

    async def _follow(self) -> None:
        """Read ``erasures`` to its end and on from there, for ever."""
        backoff = Backoff()
        while True:
            try:
                async with kafka.reader(self._settings, close_s=_CLOSE_S) as consumer:
                    await verify_keys(consumer, self._settings, self._names)
                    await self._catch_up(consumer)
                    backoff.reset()
                    await self._listen(consumer)
            except WrongDigestKey:
                raise
            except (StreamError, ConfigError) as error:
                self._reading = str(unavailable(self._settings, error))
                await backoff.wait()

    async def _catch_up(self, consumer: Any) -> None:
        one = await kafka.only_partition(consumer, self._settings.topic(ERASURES))
        first, end = (await kafka.bounds(consumer, [one]))[one]
        consumer.assign([one])
        consumer.seek(one, first if self._position is None else max(first, self._position))
        async for record in kafka.read(consumer, one, end, self._settings.kafka_timeout_s):
            self._hear(record)
        self._heard_s = time.monotonic()
        self._reading = None
        self._heard.set()

    async def _listen(self, consumer: Any) -> None:
        (one,) = consumer.assignment()
        polled = None
        while True:
            with translated(f"reading {one.topic}"):
                batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                    timeout_ms=kafka.FETCH_WAIT_MS
                )
            for record in batches.get(one, []):
                self._hear(record)
            if (answered := consumer.last_poll_timestamp(one)) != polled:
                polled, self._heard_s = answered, time.monotonic()

    def _hear(self, record: ConsumerRecord) -> None:
        """Take in what was done about a subject: from then on its old keys seal nothing more."""
        self._position = record.offset + 1
        found = erasure_of(record)
        if found is None:
            return
        if found.state == "begun":
            self._names.verify(found.subject)
        self._erased.take(found, record.timestamp)
        # Whatever it says: a key made since the beginning is written over before the end, so it seals nothing later.
        self._held.pop(found.subject, None)
        self._held.pop(f"{found.subject}/erased", None)

    def _spawn(self, work: Any) -> None:
        task = spawn(work, self._fail)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, error: WorkerError) -> None:
        self._failure = self._failure or error
        self._heard.set()
        self._wake()
        self._tell(error)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
