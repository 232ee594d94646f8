"""``rsafe audit seal`` and what ``audit verify --seals`` makes of it: Merkle roots in a file kept elsewhere.

A file of JSON Lines, one segment each, every line with the digest of the line before: the digest of the last
line stands for all of them. The proof is worth what the file's place is worth. Whoever can write both the log
and the file can change both; on a disk or in a store that only takes what is new, nobody can.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec
from aiokafka import TopicPartition
from msgspec import Struct

from worker import kafka
from worker.audit.verify.coverage import Fault, Place, fault
from worker.audit.verify.merkle import SEGMENT_RECORDS, Segment, differences, leaf, seal, total
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.errors import AuditError, UsageError
from worker.file_lock import hold
from worker.records import encode, sha256_hex
from worker.stream.ledger import OUTCOME_TOPICS

_SEGMENT: Final = msgspec.json.Decoder(Segment)
_BLOCK_BYTES: Final = 65_536


class Sealed(Struct, frozen=True, kw_only=True):
    """What was sealed: records and segments that are new, and the digest of the file's last line."""

    records: int
    segments: int
    head: str


class Checked(Struct, frozen=True, kw_only=True):
    """What a comparison with seals found, and how many records it covered."""

    altered: tuple[Fault, ...]
    records: int


def read_seals(path: Path, starts: Mapping[TopicPartition, int] | None = None) -> tuple[list[Segment], str]:
    """Read a seal file; return its segments and the digest of its last line.

    Args:
        path: the file.
        starts: for each partition the offset from which on segments are wanted; the others are not kept.

    Raises:
        UsageError: there is no such file.
        AuditError: a line is no seal, or does not follow from the one before.

    """
    segments, head = [], ""
    for segment, digest in sealed_lines(path):
        if starts is None or segment.end > starts.get(TopicPartition(segment.topic, segment.partition), segment.end):
            segments.append(segment)
        head = digest
    return segments, head


def sealed_lines(path: Path) -> Iterator[tuple[Segment, str]]:
    """Yield each segment of a seal file and the digest of its line; one line is in memory at a time.

    Raises:
        UsageError: there is no such file.
        AuditError: a line is no seal, or does not follow from the one before.

    """
    head = ""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                # A writer that was killed may have left half a line.
                if line.endswith(b"\n"):
                    segment, head = _follows(path, number, line.rstrip(b"\r\n"), head)
                    yield segment, head
    except OSError as error:
        text = f"the seal file {path} cannot be read ({error.strerror}); 'rsafe audit seal' writes one"
        raise UsageError(text) from None


def _follows(path: Path, number: int, line: bytes, head: str) -> tuple[Segment, str]:
    """Return a line's segment and digest, if it follows from the line whose digest is ``head``."""
    try:
        segment = _SEGMENT.decode(line)
    except UNREADABLE:
        raise AuditError(_broken(path, number, "is no seal")) from None
    if segment.previous != head:
        raise AuditError(_broken(path, number, "does not follow from the line before"))
    return segment, sha256_hex(line)


def _broken(path: Path, number: int, what: str) -> str:
    return f"line {number} of {path} {what}: the file was changed; take the copy that is kept elsewhere"


def _whole_bytes(file: BinaryIO, size: int) -> int:
    """Return where the last whole line of a file ends, read from its end."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


@contextmanager
def appending(path: Path) -> Iterator[BinaryIO]:
    """Open a seal file for appending, alone, without the half line that a killed writer left.

    A file that only takes what is new (``chattr +a``) refuses any cut, so it is cut only for a half line.

    Raises:
        AuditError: somebody else is writing to it, or half a line cannot be cut off.
        OSError: it cannot be written.

    """
    with path.open("a+b") as file:
        hold(file, AuditError(f"another 'rsafe audit seal' is writing to {path}; wait for it"))
        size = file.seek(0, os.SEEK_END)
        whole = _whole_bytes(file, size)
        if whole < size:
            _cut(path, file, whole)
        yield file


def _cut(path: Path, file: BinaryIO, size: int) -> None:
    try:
        file.truncate(size)
    except OSError as error:
        text = (
            f"{path} ends in half a line that a killed writer left, and it cannot be cut off ({error.strerror}); "
            "have it cut, or go on in another file: this one still proves what it has"
        )
        raise AuditError(text) from None


async def seal_outcomes(settings: Settings, path: Path) -> Sealed:
    """Seal what is new in the topics of outcomes, and append it to a file.

    Raises:
        AuditError: the file was changed, somebody else is writing to it, or half a line cannot be cut off.
        OSError: the file cannot be written.
        CorruptPartition: a batch cannot be read.
        BrokerAway: nobody answers.
        TopicMissing: a topic does not exist.

    """
    made: list[Segment] = []
    async with kafka.reader(settings) as consumer:
        with appending(path) as file:
            ends, head = {}, ""
            for one, digest in sealed_lines(path):
                ends[one.topic, one.partition], head = one.end, digest
            for partition, (first, end) in (await _logs(consumer, settings)).items():
                start = max(first, ends.get((partition.topic, partition.partition), first))
                async for at, leaves in _segments(consumer, settings, partition, start, end):
                    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                    made.append(seal(partition.topic, partition.partition, *at, leaves, now, head))
                    line = encode(made[-1])
                    file.write(line + b"\n")
                    head = sha256_hex(line)
    return Sealed(records=total(made), segments=len(made), head=head)


async def check_seals(settings: Settings, path: Path, starts: Mapping[TopicPartition, int]) -> Checked:
    """Compare the topics of outcomes with their seals.

    Args:
        settings: addresses and prefix.
        path: the seal file.
        starts: for each partition the offset from which on it is looked at; others are left out.

    Raises:
        UsageError: there is no such file.
        AuditError: the file was changed.
        CorruptPartition: a batch cannot be read.
        BrokerAway: nobody answers.

    """
    segments, _ = read_seals(path, starts)
    found: list[Fault] = []
    records = 0
    async with kafka.reader(settings) as consumer:
        for one, log in (await kafka.bounds(consumer, starts)).items():
            own = [line for line in segments if (line.topic, line.partition) == (one.topic, one.partition)]
            wanted = [line for line in own if line.end > max(starts[one], log[0])]
            async for segment, leaves in _as_now(consumer, settings, one, wanted, log):
                found += _faults(path, segment, leaves, log[0])
                records += len(leaves)
    return Checked(altered=tuple(found), records=records)


async def _as_now(
    consumer: Any, settings: Settings, one: TopicPartition, segments: list[Segment], log: tuple[int, int]
) -> AsyncIterator[tuple[Segment, dict[int, bytes]]]:
    """Yield each segment of one partition with the leaves that stand there now."""
    waiting = deque(segments)
    leaves: dict[int, bytes] = {}
    if segments:
        end = min(segments[-1].end, log[1])
        consumer.assign([one])
        consumer.seek(one, min(max(segments[0].start, log[0]), end))
        async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
            while record.offset >= waiting[0].end:
                yield waiting.popleft(), leaves
                leaves = {}
            if record.offset >= waiting[0].start:
                leaves[record.offset] = leaf(record)
    for segment in waiting:
        yield segment, leaves
        leaves = {}


def _faults(path: Path, segment: Segment, leaves: Mapping[int, bytes], first: int) -> Iterator[Fault]:
    try:
        found = differences(segment, leaves, first)
    except ValueError as error:
        text = f"{path}: the seal of {segment.topic}/{segment.partition} from {segment.start} on: {error}"
        raise AuditError(text) from None
    for offset, reason in found:
        yield fault(Place(segment.topic, segment.partition, offset), f"{reason} (sealed {segment.sealed_at})")


async def _logs(consumer: Any, settings: Settings) -> dict[TopicPartition, tuple[int, int]]:
    partitions = [one for name in OUTCOME_TOPICS for one in await kafka.partitions_of(consumer, settings.topic(name))]
    return await kafka.bounds(consumer, partitions)


async def _segments(
    consumer: Any, settings: Settings, partition: TopicPartition, start: int, end: int
) -> AsyncIterator[tuple[tuple[int, int], dict[int, bytes]]]:
    """Cut what is new into segments: (start, end) and the leaves by offset."""
    if start >= end:
        return
    consumer.assign([partition])
    consumer.seek(partition, start)
    leaves: dict[int, bytes] = {}
    async for record in kafka.read(consumer, partition, end, settings.kafka_timeout_s):
        leaves[record.offset] = leaf(record)
        if len(leaves) == SEGMENT_RECORDS:
            yield (start, record.offset + 1), leaves
            start, leaves = record.offset + 1, {}
    if start < end:
        yield (start, end), leaves
