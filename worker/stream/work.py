"""What travels through the data plane: a message on its way to the judge, and an outcome on its way to Kafka."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from worker.dead_letter import Headers
from worker.records import Message, Source
from worker.stream.admission import Entry
from worker.stream.ledger import OutcomeTopic, PartitionLedger

#: Memory that a record takes beside its bytes: objects, decoded ids, queues.
_OVERHEAD_BYTES: Final = 2048
#: The same of one header: a pair, a text, bytes. Two bytes on the wire are enough for a header.
_HEADER_BYTES: Final = 192


class Row(Struct, frozen=True):
    """One record to be written."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Work(Entry, kw_only=True, eq=False):
    """A decoded message, held until its outcome is published.

    Attributes:
        record: the Kafka record it came from.
        message: what it says.
        ledger: the epoch of its partition.
        received_s: when it was read, by the worker's clock.
        is_suspect: whether it was in the judge when an engine died, so that it is judged alone.

    """

    record: Any
    message: Message
    ledger: PartitionLedger
    received_s: float
    is_suspect: bool = False


class Outcome(Struct, kw_only=True, eq=False):
    """What is to be published for one message.

    Attributes:
        record: the Kafka record of the message.
        ledger: the epoch of its partition; a closed one drops the outcome.
        topic: which topic the outcome goes to.
        row: the verdict or the dead letter.
        trace: the trace that goes before it, if there is one.
        labels: status and label of a verdict, or the stage of a dead letter; for metrics.
        suppressed: whether an exception changed the verdict's action; for metrics.

    """

    record: Any
    ledger: PartitionLedger
    topic: OutcomeTopic
    row: Row
    trace: Row | None
    labels: tuple[str, ...]
    suppressed: bool = False


def source_of(record: Any) -> Source:
    """Return where a Kafka record stands."""
    return Source(topic=record.topic, partition=record.partition, offset=record.offset, timestamp=record.timestamp)


def held_bytes(record: Any) -> int:
    """Return about what a Kafka record takes in memory."""
    headers = sum(len(name) + len(value or b"") + _HEADER_BYTES for name, value in record.headers)
    return len(record.value or b"") + len(record.key or b"") + headers + _OVERHEAD_BYTES
