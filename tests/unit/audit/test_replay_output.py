"""A replay can write to two topics and to nothing else, and only while its partitions are surely its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import get_args

import pytest

from tests.support.judging import message, policy
from tests.support.streaming import record
from worker.audit.replay.output import Judged, ReplayOutput, ReplayTopic, replay_settings
from worker.config import Settings
from worker.errors import OutputTooLarge, OwnershipLost
from worker.judge.judgement import Judgement
from worker.records import ModelRef
from worker.stream.work import Row
from worker.topics import catalogue

SETTINGS = replay_settings(Settings(engine="scripted"), "r1")
_JUDGED = Judgement(status="judged", score=1.0, cited=(("shop", "U7"),), reasoning="Because.", raw="Because.\nunsafe")


class Written:
    """A ``Delivery`` into a list; refuses rows of the topics in ``too_large`` as Kafka does."""

    def __init__(self, *too_large: str) -> None:
        self.rows: list[tuple[str, int, Row]] = []
        self.too_large = set(too_large)
        self.gate = asyncio.Event()
        self.gate.set()
        self.abandoned = False

    async def write(self, topic: str, partition: int, rows: Sequence[Row]) -> list[int | None]:
        """Keep rows, once the gate is open."""
        await self.gate.wait()
        refused = topic in self.too_large and b'"raw":null' not in (rows[0].value or b"")
        if not refused:
            self.rows += [(topic, partition, row) for row in rows]
        return [None if refused else len(self.rows)] * len(rows)

    async def abandon(self) -> None:
        """Remember it."""
        self.abandoned = True

    async def close(self, timeout_s: float) -> None:
        """Nothing to close."""


def output(delivery: Written) -> ReplayOutput:
    """Return an output that writes into a list."""
    made = ReplayOutput(SETTINGS, "r1", ModelRef(fingerprint="f", name="m"))
    made._delivery = delivery  # type: ignore[assignment]
    return made


def judged(**fields: object) -> Judged:
    """Return a judgement of one message."""
    chosen = {"record": record(5, b"{}"), "message": message("hello"), "policy": policy(), "judgement": _JUDGED}
    return Judged(**{**chosen, "total_ms": 1.0, **fields})


def always() -> None:
    """Allow every write."""


def test_only_two_topics_are_known() -> None:
    """By type, and by the names that were made; none of them is one that a platform acts on."""
    names = set(output(Written())._names.values())

    assert set(get_args(ReplayTopic)) == {"replay-verdicts", "replay-traces"}
    assert names == {"moderation.replay-verdicts", "moderation.replay-traces"}
    assert names < {spec.name for spec in catalogue("moderation.")}


async def test_the_trace_goes_first() -> None:
    """Both to the message's partition, with the run's id and mode."""
    delivery = Written()

    await output(delivery).publish(judged(), always)
    await output(delivery).publish(judged(is_control=True), always)

    assert [topic for topic, _, _ in delivery.rows] == ["moderation.replay-traces", "moderation.replay-verdicts"] * 2
    first, second = (json.loads(row.value or b"") for topic, _, row in delivery.rows if topic.endswith("verdicts"))
    assert (first["mode"], first["run_id"], first["label"]) == ("replay", "r1", "unsafe")
    assert (second["run_id"], second["verdict_id"] == first["verdict_id"]) == ("r1~control", False)
    assert {partition for _, partition, _ in delivery.rows} == {0}


async def test_who_may_not_write_writes_nothing() -> None:
    """The question is asked before the trace and before the verdict."""
    answers = iter([None, OwnershipLost("gone")])

    def may_write() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    delivery = Written()
    with pytest.raises(OwnershipLost):
        await output(delivery).publish(judged(), may_write)

    assert [topic for topic, _, _ in delivery.rows] == ["moderation.replay-traces"]


async def test_what_is_too_large() -> None:
    """A trace goes without its texts; a verdict stops the run, since nothing stands in for it."""
    delivery = Written("moderation.replay-traces")
    await output(delivery).publish(judged(), always)

    assert json.loads(delivery.rows[0][2].value or b"")["level"] == "redacted"

    with pytest.raises(OutputTooLarge, match="offset 5"):
        await output(Written("moderation.replay-verdicts")).publish(judged(), always)


async def test_a_cancelled_publisher_is_waited_for() -> None:
    """What is under way when partitions are given away arrives before the next owner reads back."""
    delivery = Written()
    delivery.gate.clear()
    made = output(delivery)
    publishing = asyncio.create_task(made.publish(judged(), always))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    settling = asyncio.create_task(made.settle(10.0))
    await asyncio.sleep(0)

    assert not settling.done()

    delivery.gate.set()
    await settling

    assert len(delivery.rows) == 2
    assert not delivery.abandoned


async def test_what_does_not_arrive_in_time_is_never_sent() -> None:
    """Past the deadline the producer is cut off, so that nothing arrives behind the next owner's back."""
    delivery = Written()
    delivery.gate.clear()
    made = output(delivery)
    publishing = asyncio.create_task(made.publish(judged(), always))
    await asyncio.sleep(0)

    await made.settle(0.01)

    assert delivery.abandoned
    with pytest.raises(asyncio.CancelledError):
        await publishing
    assert delivery.rows == []
