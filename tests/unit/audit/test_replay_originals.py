"""Original verdicts are found whatever order they stand in, and whatever stands between them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from aiokafka import TopicPartition
from msgspec import structs

from tests.support.streaming import record
from tests.support.verdicts import some_verdict
from worker.audit.replay.originals import Originals, read_written
from worker.config import Settings
from worker.records import Source, Verdict, encode
from worker.replay_records import ReplayRange

SETTINGS = Settings(engine="scripted")
MESSAGES = SETTINGS.topic("messages")


class Log:
    """A consumer of one partition that holds these values."""

    def __init__(self, values: list[bytes], batch: int = 50) -> None:
        """Stand nowhere yet."""
        self.values = values
        self.batch = batch
        self.at = 0
        self.assigned: list[TopicPartition] = []

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Remember what is read."""
        self.assigned = partitions

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to an offset."""
        assert partition in self.assigned
        self.at = offset

    async def position(self, partition: TopicPartition) -> int:
        """Return the next offset."""
        assert partition in self.assigned
        return self.at

    async def getmany(self, partition: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        """Return the next few records."""
        assert timeout_ms > 0
        found = self.values[self.at : self.at + self.batch]
        records = [record(self.at + index, value, topic=partition.topic) for index, value in enumerate(found)]
        self.at += len(found)
        return {partition: records}

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the log starts."""
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the log ends."""
        return dict.fromkeys(partitions, len(self.values))


def part(end: int, verdicts_end: int, start: int = 0) -> ReplayRange:
    """Return a range of partition 0."""
    return ReplayRange(partition=0, start=start, end=end, verdicts_start=0, verdicts_end=verdicts_end, outputs_start=0)


def verdict(offset: int, **fields: Any) -> Verdict:
    """Return the live verdict of one message."""
    source = Source(topic=MESSAGES, partition=0, offset=offset, timestamp=1000 + offset)
    return structs.replace(some_verdict(), **({"message_id": f"m{offset}", "source": source} | fields))


def foreign(draw: random.Random, offset: int) -> bytes:
    """Return something about a message that is not its original verdict."""
    one = verdict(offset, score=0.0)
    other = structs.replace(one.source, partition=1)
    elsewhere = structs.replace(one.source, topic="other.messages")
    return draw.choice(
        [
            b"no verdict",
            b"",
            encode(structs.replace(one, mode="replay", run_id="r1")),
            encode(structs.replace(one, mode="shadow", run_id="d")),
            encode(structs.replace(one, supersedes="v")),
            encode(structs.replace(one, source=other)),
            encode(structs.replace(one, source=elsewhere)),
        ]
    )


@pytest.mark.parametrize("seed", range(5))
async def test_every_original_is_found(seed: int) -> None:
    """In disorder, between strangers, some twice and some missing: each message gets its first verdict."""
    draw = random.Random(seed)
    missing = set(draw.sample(range(400), 20))
    placed = [(offset + draw.uniform(0, 30), encode(verdict(offset))) for offset in range(400) if offset not in missing]
    placed += [
        (offset + 40, encode(verdict(offset, score=0.0))) for offset in range(0, 400, 3) if offset not in missing
    ]
    placed += [(draw.uniform(0, 400), foreign(draw, draw.randrange(400))) for _ in range(300)]
    values = [value for _, value in sorted(placed)]
    originals = Originals(SETTINGS, Log(values), part(400, len(values)))

    for offset in sorted(draw.sample(range(400), 350)):
        found = await originals.find(offset, 1000 + offset, f"m{offset}")

        assert (found is None) == (offset in missing)
        if found is not None:
            assert found.source.offset == offset
            assert found.label == "unsafe"
            assert found.hits == {"U7"}


async def test_only_the_disorder_is_held() -> None:
    """Over 50,000 messages in order, of which every second is asked for, little more than a batch is in memory."""
    values = [encode(verdict(offset)) for offset in range(50_000)]
    originals = Originals(SETTINGS, Log(values, batch=500), part(50_000, len(values)))
    held = 0
    for offset in range(0, 50_000, 2):
        found = await originals.find(offset, 1000 + offset, f"m{offset}")
        held = max(held, len(originals._waiting))

        assert found is not None

    assert held <= 10_002
    assert len(originals._policies) == 1


async def test_verdicts_after_the_plan_are_no_originals() -> None:
    """What was judged live after the run was planned stays unknown to it, also when it is resumed later."""
    values = [encode(verdict(0)), encode(verdict(1))]
    originals = Originals(SETTINGS, Log(values), part(2, 1))

    assert await originals.find(0, 1000, "m0") is not None
    assert await originals.find(1, 1001, "m1") is None


async def test_another_message_at_the_same_place() -> None:
    """A topic that was made anew uses offsets again: time and id tell the messages apart."""
    values = [encode(verdict(0)), encode(verdict(1))]
    originals = Originals(SETTINGS, Log(values), part(2, 2))

    assert await originals.find(0, 2000, "m0") is None
    assert await originals.find(1, 1001, "another") is None


async def test_what_a_run_has_published_is_read_back() -> None:
    """Its own outcomes and its control's, none of other runs, and none of other offsets."""
    rows = [
        verdict(3, mode="replay", run_id="r1"),
        verdict(4, mode="replay", run_id="r1~control"),
        verdict(5, mode="replay", run_id="r2"),
        verdict(6),
        verdict(99, mode="replay", run_id="r1"),
    ]
    log = Log([*(encode(row) for row in rows), b"no verdict"])

    written, control = await read_written(SETTINGS, log, part(10, 0), "r1")

    assert [offset for offset in range(100) if offset in written] == [3]
    assert [offset for offset in range(100) if offset in control] == [4]
