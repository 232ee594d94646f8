"""Messages that retention took before they were judged: each is declared in ``dead-letters``, or nobody would know.

A lost message leaves nothing to keep, so its dead letter has neither key nor value. One record speaks for a
run of offsets (header ``source_offset_end``); it is published and acknowledged before a commit passes them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from worker import dead_letter
from worker.dead_letter import LOST_STAGE, Failure
from worker.errors import OffsetGone
from worker.records import Source
from worker.stream.ledger import PartitionLedger
from worker.stream.publisher import Publisher
from worker.stream.state import State
from worker.stream.work import Outcome, Row, held_bytes

logger: Final = logging.getLogger(__name__)
#: Offsets that rise, the end excluded.
Span = tuple[int, int]


class Lost(Struct, frozen=True, kw_only=True):
    """What stands for the Kafka record of the first offset of a run; nothing else of it is left."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None = None
    key: None = None
    value: None = None
    headers: tuple[()] = ()


class Gaps:
    """Declares offsets as lost."""

    def __init__(self, state: State, publisher: Publisher) -> None:
        """Take the books and the way out."""
        self._topic = state.settings.topic("messages")
        self._buffer = state.buffer
        self._metrics = state.metrics
        self._publisher = publisher

    def overtaken(self, ledger: PartitionLedger, first: int) -> None:
        """Go on at ``first``, where the log begins now: what was not read before has no outcome but this."""
        taken = ((offset, offset + 1) for offset in ledger.published_offsets)
        self.declare(ledger, uncovered((ledger.next_offset, first), taken))
        ledger.advance(first)

    def declare(self, ledger: PartitionLedger, spans: Iterable[Span]) -> None:
        """Declare rising runs that were never read; each holds the watermark back until it is published."""
        for start, end in spans:
            if ledger.register(start):
                ledger.advance(end)
                self._submit(ledger, Lost(topic=self._topic, partition=ledger.partition, offset=start), end)

    def deferred(self, ledger: PartitionLedger, offset: int, timestamp: int) -> None:
        """Declare an offset in flight whose message was read once, let go, and is gone now."""
        one = Lost(topic=self._topic, partition=ledger.partition, offset=offset, timestamp=timestamp)
        self._submit(ledger, one, offset + 1)

    def _submit(self, ledger: PartitionLedger, lost: Lost, end: int) -> None:
        text = f"offsets {lost.offset} to {end - 1} are gone; retention was faster than the workers"
        logger.error("partition %d: %s", lost.partition, text)
        self._metrics.gaps.labels(str(lost.partition)).inc(end - lost.offset)
        self._buffer.take(held_bytes(lost))
        self._publisher.submit(_outcome(ledger, lost, end, text))


def _outcome(ledger: PartitionLedger, lost: Lost, end: int, text: str) -> Outcome:
    failure = Failure.of(LOST_STAGE, OffsetGone(f"{text}: raise retention.ms of {lost.topic}, or run more of them"))
    source = Source(topic=lost.topic, partition=lost.partition, offset=lost.offset, timestamp=lost.timestamp)
    headers = dead_letter.lost_headers(failure, source, end, dt.datetime.now(dt.UTC))
    return Outcome(
        record=lost, ledger=ledger, topic="dead-letters", row=Row(None, None, headers), trace=None, labels=(LOST_STAGE,)
    )


def uncovered(wanted: Span, taken: Iterable[Span]) -> Iterator[Span]:
    """Yield, rising, the runs of ``wanted`` that no span of ``taken`` covers; those may overlap, in any order."""
    start, end = wanted
    for first, last in sorted(taken):
        if first >= end:
            break
        if first > start:
            yield start, first
        start = max(start, last)
    if start < end:
        yield start, end
