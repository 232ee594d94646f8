"""Deferred messages on their way back, from a reader in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.dataplane import FixedPolicies
from tests.support.dataplane import message as raw
from tests.support.streaming import NOTHING, MemoryDelivery, record, state_with
from tests.support.waiting import wait_until
from worker.errors import BrokerAway, CorruptPartition, StreamError
from worker.judge.scripted import ScriptedJudge
from worker.stream.delivery import Delivery
from worker.stream.gaps import Gaps
from worker.stream.pipeline import Pipeline
from worker.stream.publisher import Publisher
from worker.stream.refill import Refill
from worker.stream.rereader import Reader, Reread

KIB = 1024


class MemoryReader:
    """A ``Reader`` of what the test wrote, partition 0.

    Attributes:
        reads: the bytes of each read.
        ends_at: the offset from which on nothing can be read, and why.

    """

    def __init__(self, values: Mapping[int, bytes]) -> None:
        """Hold values by offset."""
        self.values = values
        self.reads: list[int] = []
        self.ends_at = len(values)
        self.error: StreamError = BrokerAway("away")

    def cover(self, partitions: Iterable[int]) -> None:
        """Everything is covered."""

    async def read(self, wanted: Mapping[int, Iterable[int]]) -> Reread:
        """Return the records, and give everything else a turn."""
        found = {(0, offset): record(offset, self.values[offset]) for offset in wanted[0] if offset < self.ends_at}
        reread = Reread({})
        reread.records |= found
        if len(found) < len(list(wanted[0])):
            reread.failed[0] = self.error
        self.reads.append(sum(len(one.value) for one in found.values()))
        await asyncio.sleep(0)
        return reread

    async def close(self) -> None:
        """Nothing is open."""


class Rig:
    """A pipeline into memory whose deferred messages come back."""

    def __init__(self, values: list[bytes], **settings: Any) -> None:
        """Take the values in as offsets from 0."""
        self.state = state_with(**settings)
        self.halted: dict[int, str] = {}
        publisher = Publisher(self.state, cast("Delivery", MemoryDelivery()))
        self.pipeline = Pipeline(self.state, ScriptedJudge(), FixedPolicies(), publisher)
        self.refill = Refill(self.state, self.pipeline, Gaps(self.state, publisher), self.halt)
        self.reader = MemoryReader(dict(enumerate(values)))
        self.ledger = self.state.ledger.open(0, start=0, bounds=NOTHING, ends=NOTHING, published={})
        for offset, value in enumerate(values):
            self.ledger.register(offset)
            self.pipeline.accept(record(offset, value), self.ledger)
        self.deferred_bytes = sum(map(len, values[-len(self.state.deferred) :]))

    def halt(self, partition: int, reason: str) -> None:
        """Remember why."""
        self.halted[partition] = reason

    @asynccontextmanager
    async def running(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
        """Bring messages back inside the block."""

        async def connect(_settings: object) -> MemoryReader:
            return self.reader

        monkeypatch.setattr(Reader, "connect", connect)
        task = asyncio.create_task(self.refill.run())
        self.pipeline.pump()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_large_messages_are_read_again_once_and_as_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant's share of the memory is the most that comes back at once, and nothing is read to be put back."""
    values = [raw(number, "[sleep:5]" + "x" * 100 * KIB) for number in range(60)]
    rig = Rig(values, window=2, buffer_mib=4)
    async with rig.running(monkeypatch):
        await wait_until(lambda: rig.ledger.watermark == 60, 30, what="all are done")

    assert sum(rig.reader.reads) == rig.deferred_bytes
    assert max(rig.reader.reads) <= 1024 * KIB


async def test_what_waited_too_long_needs_no_room_that_intake_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the memory is full of others, a quarter more of it is left for expired messages, and nothing beyond."""
    rig = Rig([raw(number) for number in range(9)], tenant_queue_messages=1, deferred_max_age_s=1.0, buffer_mib=4)
    rig.state.buffer.take(4096 * KIB)
    async with rig.running(monkeypatch):
        await wait_until(lambda: rig.ledger.in_flight == 8, 10, what="the first is done")
        assert rig.reader.reads == []

        monkeypatch.setattr("worker.stream.refill.time", SimpleNamespace(monotonic=lambda: time.monotonic() + 10))
        await wait_until(lambda: rig.ledger.watermark == 9, 10, what="all are done")

    rig.state.buffer.take(1024 * KIB)
    rig.pipeline.accept(record(9, raw(9)), rig.ledger)
    rig.pipeline.accept(record(10, raw(10)), rig.ledger)
    assert len(rig.state.deferred) == 1
    assert rig.refill._choose() == []


async def test_what_waited_too_long_comes_back_as_the_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired messages get their status a part at a time, however many there are, and none is read for nothing."""
    values = [raw(number, "[sleep:50]" + "x" * 100 * KIB) for number in range(100)]
    rig = Rig(values, window=1, buffer_mib=4, tenant_queue_messages=1, deferred_max_age_s=1.0)
    monkeypatch.setattr("worker.stream.refill.time", SimpleNamespace(monotonic=lambda: time.monotonic() + 10))
    async with rig.running(monkeypatch):
        await wait_until(lambda: rig.ledger.watermark == 100, 30, what="all are done")

    assert sum(rig.reader.reads) == rig.deferred_bytes
    assert max(rig.reader.reads) <= 1024 * KIB


async def test_what_did_not_answer_is_read_later_and_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What came is judged, the partition rests, and nothing is read of it meanwhile."""
    rig = Rig([raw(number) for number in range(9)], window=1, tenant_queue_messages=1)
    rig.reader.ends_at = 4
    async with rig.running(monkeypatch):
        await wait_until(lambda: rig.ledger.watermark == 4, 10, what="those before are done")
        await wait_until(lambda: rig.reader.reads[-1] == 0, 10, what="nothing came")
        reads = len(rig.reader.reads)
        assert rig.refill._choose() == []

        rig.reader.ends_at = 9
        monkeypatch.setattr("worker.stream.refill.time", SimpleNamespace(monotonic=lambda: time.monotonic() + 10))
        await wait_until(lambda: rig.ledger.watermark == 9, 10, what="all are done")

    assert reads <= 5
    assert rig.halted == {}


async def test_what_cannot_be_read_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad batch halts its partition: what stands from there on is forgotten until it is assigned anew."""
    rig = Rig([raw(number) for number in range(9)], window=1, tenant_queue_messages=1)
    rig.reader.ends_at, rig.reader.error = 4, CorruptPartition("bad batch")
    async with rig.running(monkeypatch):
        await wait_until(lambda: rig.halted == {0: "bad batch"}, 10, what="halted")
        await wait_until(lambda: rig.ledger.watermark == 4, 10, what="those before are done")

    assert len(rig.state.deferred) == 0
    assert rig.ledger.in_flight == 5
