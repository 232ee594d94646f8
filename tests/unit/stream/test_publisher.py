"""Publishing: the order of things, what is refused, what is given up."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from tests.support.streaming import MemoryDelivery, open_ledger, record, state_with
from tests.support.waiting import wait_until
from worker.errors import DecodeError
from worker.stream.delivery import Delivery
from worker.stream.ledger import PartitionLedger
from worker.stream.outputs import dead_letter_of
from worker.stream.publisher import Publisher
from worker.stream.state import State
from worker.stream.work import Outcome, Row, held_bytes

TRACE = {
    "trace_id": "t",
    "verdict_id": "v",
    "tenant_id": "a",
    "reasoning": "why",
    "raw": "why",
    "reasoning_digest": "d",
    "truncated": False,
    "level": "full",
}


def publisher(delivery: MemoryDelivery) -> tuple[Publisher, State]:
    """Build a publisher on a delivery into memory."""
    state = state_with()
    return Publisher(state, cast("Delivery", delivery)), state


def outcome(ledger: PartitionLedger, offset: int, *, value: bytes = b"verdict", traced: bool = True) -> Outcome:
    """Build the outcome of a message."""
    trace = Row(b"k", json.dumps(TRACE).encode(), [])
    return Outcome(
        record=record(offset, b"message"),
        ledger=ledger,
        topic="verdicts",
        row=Row(b"k", value, []),
        trace=trace if traced else None,
        labels=("judged", "safe"),
    )


def submit(state: State, target: Publisher, *outcomes: Outcome) -> None:
    """Hand outcomes over as the pipeline does, their memory taken."""
    for one in outcomes:
        state.buffer.take(held_bytes(one.record))
        target.submit(one)


async def test_traces_go_before_verdicts_and_offsets_are_done_after() -> None:
    """An offset is complete only once its verdict is acknowledged; its memory is given back then."""
    delivery = MemoryDelivery()
    target, state = publisher(delivery)
    ledger = open_ledger(0, 1)
    delivery.gate.clear()
    submit(state, target, outcome(ledger, 0), outcome(ledger, 1, traced=False))
    await wait_until(lambda: delivery.waiting, what="a write waits at the gate")

    assert ledger.watermark == 0
    assert state.buffer.messages == 2

    delivery.gate.set()
    await target.drained({0})

    assert delivery.topics() == ["traces", "verdicts", "verdicts"]
    assert ledger.watermark == 2
    assert (state.buffer.messages, state.buffer.bytes) == (0, 0)
    assert state.metrics.verdicts.labels("judged", "safe")._value.get() == 2


async def test_nothing_is_written_for_a_partition_that_was_given_away() -> None:
    """A verdict of an older epoch could be a double, so it is dropped, also between trace and verdict."""
    delivery = MemoryDelivery()
    target, state = publisher(delivery)
    closed, closing = open_ledger(0), open_ledger(0)
    closed.close()
    submit(state, target, outcome(closed, 0))
    await target.drained({0})

    assert delivery.written == []

    delivery.gate.clear()
    submit(state, target, outcome(closing, 0))
    await wait_until(lambda: delivery.waiting, what="a write waits at the gate")
    closing.close()
    delivery.gate.set()
    await target.drained({0})

    assert delivery.topics() == ["traces"]
    assert state.metrics.epoch_drops._value.get() == 2
    assert state.buffer.messages == 0


async def test_a_refused_trace_goes_without_its_texts() -> None:
    """What Kafka finds too large is written again, redacted, before the verdict."""
    delivery = MemoryDelivery(traces=len(json.dumps(TRACE)) - 5)
    target, state = publisher(delivery)
    ledger = open_ledger(0)
    submit(state, target, outcome(ledger, 0))
    await target.drained({0})

    assert delivery.topics() == ["traces", "verdicts"]
    assert json.loads(delivery.written[0][1].value or b"")["level"] == "redacted"
    assert state.metrics.redacted_traces._value.get() == 1


async def test_a_refused_verdict_becomes_a_dead_letter() -> None:
    """The message itself is kept, with the reason; the offset is done by that."""
    delivery = MemoryDelivery(verdicts=10)
    target, state = publisher(delivery)
    ledger = open_ledger(0, 1)
    submit(state, target, outcome(ledger, 0, value=b"x" * 11), outcome(ledger, 1))
    await target.drained({0})

    assert delivery.topics() == ["traces", "traces", "verdicts", "dead-letters"]
    assert delivery.written[-1][1].value == b"message"
    assert dict(delivery.written[-1][1].headers)["error"] == b"OutputTooLarge"
    assert ledger.watermark == 2
    assert state.metrics.dead_letters.labels("publish")._value.get() == 1
    assert state.buffer.messages == 0


async def test_a_verdict_above_our_own_limit_is_never_sent() -> None:
    """Sizes are checked first: a refusal would cost the producer."""
    delivery = MemoryDelivery(verdicts=0)
    target, state = publisher(delivery)
    ledger = open_ledger(0)
    submit(state, target, outcome(ledger, 0, value=b"x" * 4_000_000, traced=False))
    await target.drained({0})

    assert delivery.topics() == ["dead-letters"]


async def test_a_refused_dead_letter_is_kept_and_tried_again() -> None:
    """Only an operator can help; the offset stays open and nothing is lost."""
    delivery = MemoryDelivery(dead_letters=3)
    target, state = publisher(delivery)
    ledger = open_ledger(0)
    submit(state, target, dead_letter_of(record(0, b"poison"), ledger, "decode", DecodeError("", "x")))
    await asyncio.sleep(0.05)

    assert ledger.watermark == 0

    delivery.limits.clear()
    await asyncio.wait_for(target.drained({0}), 10)

    assert ledger.watermark == 1
    assert state.buffer.messages == 0


async def test_abandoning_leaves_offsets_open_and_memory_free() -> None:
    """What is not acknowledged is dropped together with the producer that holds it."""
    delivery = MemoryDelivery()
    target, state = publisher(delivery)
    ledger = open_ledger(0, 1)
    delivery.gate.clear()
    submit(state, target, outcome(ledger, 0), outcome(ledger, 1))
    await wait_until(lambda: delivery.waiting, what="a write waits at the gate")
    await asyncio.wait_for(target.abandon(), 5)

    assert delivery.abandoned == 1
    assert delivery.written == []
    assert ledger.watermark == 0
    assert (state.buffer.messages, state.buffer.bytes) == (0, 0)

    delivery.gate.set()
    submit(state, target, outcome(ledger, 0))
    await target.drained({0})

    assert delivery.topics() == ["traces", "verdicts"]


async def test_a_bug_in_publishing_fails_the_worker() -> None:
    """No task dies in silence with messages in its hands."""

    class Broken(MemoryDelivery):
        async def write(self, *_arguments: Any) -> list[int | None]:
            raise ZeroDivisionError

    target, state = publisher(Broken())
    submit(state, target, outcome(open_ledger(0), 0))
    await asyncio.wait_for(state.failed.wait(), 5)

    assert "ZeroDivisionError" in str(state.failure)
