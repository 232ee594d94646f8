"""Records read a second time, from a client in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError

from tests.support.streaming import record, state_with
from worker.errors import BrokerAway, CorruptPartition
from worker.stream.rereader import Reader


class Client:
    """A consumer of ten records in each partition; 1 is silent, and in 2 a batch at offset 5 cannot be read."""

    def __init__(self) -> None:
        """Stand nowhere."""
        self.places: dict[int, int] = {}

    def assign(self, twins: list[TopicPartition]) -> None:
        """Begin at zero."""
        self.places = {twin.partition: 0 for twin in twins}

    def seek(self, twin: TopicPartition, offset: int) -> None:
        """Go there."""
        self.places[twin.partition] = offset

    def pause(self, *_twins: TopicPartition) -> None:
        """Nothing is fetched ahead."""

    resume = pause

    async def position(self, twin: TopicPartition) -> int:
        """Return the place."""
        return self.places[twin.partition]

    async def beginning_offsets(self, twins: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Nothing was taken away."""
        return dict.fromkeys(twins, 0)

    async def end_offsets(self, twins: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Ten records."""
        return dict.fromkeys(twins, 10)

    async def getmany(self, twin: TopicPartition, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, Any]:
        """Return what is there, losing what stands before the bad batch as aiokafka does."""
        start = self.places[twin.partition]
        offsets = range(start, min(10, start + max_records))
        if start > 10:
            raise OffsetOutOfRangeError({twin: start})
        if twin.partition == 1 or not offsets:
            await asyncio.sleep(timeout_ms / 1000)
            return {}
        if twin.partition == 2 and 5 in offsets:
            self.places[2] = 5
            raise CorruptRecordException
        self.places[twin.partition] = offsets.stop
        return {twin: [record(offset, b"", partition=twin.partition) for offset in offsets]}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Return a reader of little patience."""
    monkeypatch.setattr("worker.stream.rereader._SILENT_S", 0.05)
    return Reader(Client(), state_with(kafka_timeout_s=1.0).settings)


async def test_a_partition_that_fails_or_is_silent_keeps_nothing_back(reader: Reader) -> None:
    """What can be read comes, what stands before a bad batch too, and of the rest it is said why not."""
    reread = await reader.read({0: [1, 2, 9], 1: [3], 2: [2, 4, 5, 6]})

    assert sorted(reread.records) == [(0, 1), (0, 2), (0, 9), (2, 2), (2, 4)]
    assert {number: type(error) for number, error in reread.failed.items()} == {1: BrokerAway, 2: CorruptPartition}

    again = await reader.read({0: [3], 2: [3]})

    assert sorted(again.records) == [(0, 3), (2, 3)]
    assert again.failed == {}


async def test_a_log_that_ends_before_what_was_read_keeps_nothing_back(reader: Reader) -> None:
    """A topic that was made anew has fewer records: that partition fails, and is not asked for ever."""
    reread = await reader.read({0: [1], 3: [5000]})

    assert sorted(reread.records) == [(0, 1)]
    assert {number: type(error) for number, error in reread.failed.items()} == {3: CorruptPartition}


async def test_silence_of_all_is_an_error_in_the_end(reader: Reader) -> None:
    """Where nothing came in many reads, Kafka may be away, or the client beyond repair."""

    async def read_on() -> None:
        while True:
            assert (await reader.read({1: [3]})).records == {}

    with pytest.raises(BrokerAway):
        await asyncio.wait_for(read_on(), 30)
