"""What is already published: read on assignment, so that no message gets a second outcome.

A worker that dies between publishing and committing leaves outcomes above its watermark. The next
owner reads the partition's twins in ``verdicts`` and ``dead-letters``, from the bounds in the commit
to their ends, and does not judge again what it finds there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from msgspec import UNSET, Struct, UnsetType

from worker import kafka
from worker.config import Settings
from worker.dead_letter import lost_run
from worker.decoding import UNREADABLE
from worker.errors import BrokerAway, ReadBackFailed, TopicMissing, WorkerError
from worker.records import Source
from worker.stream.ledger import OUTCOME_TOPICS, Bounds, MessageKey, OutcomeTopic, Place, Published

#: What a read-back looks for: by partition of ``messages`` the lowest offset and the bounds, if there are any.
Wanted = Mapping[int, tuple[int, Bounds | None]]


class _Seen(Struct, frozen=True, kw_only=True):
    """The fields of a verdict that tell which message it is of; decoding only these is cheap."""

    message_id: str
    mode: str
    source: Source
    run_id: str | None = None
    supersedes: str | UnsetType | None = UNSET


_SEEN: Final = msgspec.json.Decoder(_Seen)


class Found(Struct, frozen=True, kw_only=True):
    """What a partition's twins hold: from where it was read, up to where, and the outcomes in between.

    ``lost`` are the runs of offsets, the end excluded, that were declared as lost.
    """

    bounds: Bounds
    ends: Bounds
    published: dict[MessageKey, Published]
    lost: tuple[tuple[int, int], ...] = ()


async def read_back(consumer: Any, settings: Settings, wanted: Wanted) -> dict[int, Found]:
    """Read the published outcomes of messages that are not committed.

    Args:
        consumer: a consumer without a group, used by nobody else.
        settings: topic names and deadlines.
        wanted: for each partition the lowest offset to look for, and where to start (at the log's start if none).

    Raises:
        BrokerAway: Kafka stopped answering; it can be tried again.
        TopicMissing: an outcome topic is gone.
        ReadBackFailed: what is there cannot be read.

    """
    try:
        return await _read_all(consumer, settings, wanted)
    except (BrokerAway, TopicMissing):
        raise
    except WorkerError as error:
        text = f"what is published could not be read back: {error}"
        raise ReadBackFailed(text) from error


async def _read_all(consumer: Any, settings: Settings, wanted: Wanted) -> dict[int, Found]:
    twins = {
        (topic, number): TopicPartition(settings.topic(topic), number) for topic in OUTCOME_TOPICS for number in wanted
    }
    consumer.assign(list(twins.values()))
    logs = await kafka.bounds(consumer, twins.values())
    starts: dict[tuple[OutcomeTopic, int], int] = {}
    for (topic, number), twin in twins.items():
        bounds = wanted[number][1]
        first, end = logs[twin]
        at = first if bounds is None else bounds.of(topic)
        # A bound outside the log: retention took its start, or the topic was made anew.
        starts[topic, number] = at if first <= at <= end else first
        consumer.seek(twin, starts[topic, number])
    found: dict[int, dict[MessageKey, Published]] = {number: {} for number in wanted}
    lost: dict[int, list[tuple[int, int]]] = {number: [] for number in wanted}
    for (topic, number), twin in twins.items():
        lowest = wanted[number][0]
        async for record in kafka.read(consumer, twin, logs[twin][1], settings.kafka_timeout_s):
            if (span := _lost_span(record, topic, settings.topic("messages"))) is not None:
                lost[number].append(span)
                continue
            for key, outcome in _outcome(record, topic, settings.topic("messages")):
                if key[0] >= lowest:
                    # The first in the partition's order is the outcome.
                    found[number].setdefault(key, outcome)
    return {
        number: Found(
            bounds=_bounds({topic: starts[topic, number] for topic in OUTCOME_TOPICS}),
            ends=_bounds({topic: logs[twins[topic, number]][1] for topic in OUTCOME_TOPICS}),
            published=found[number],
            lost=tuple(lost[number]),
        )
        for number in wanted
    }


def _bounds(positions: Mapping[OutcomeTopic, int]) -> Bounds:
    return Bounds(verdicts=positions["verdicts"], dead_letters=positions["dead-letters"])


def _outcome(record: Any, topic: OutcomeTopic, messages: str) -> Iterator[tuple[MessageKey, Published]]:
    """Yield the message and its outcome, if the record is a live outcome of the same partition."""
    source, message_id = _verdict_source(record) if topic == "verdicts" else (_letter_source(record), None)
    if source is None or source.topic != messages or source.partition != record.partition:
        return
    if source.offset is not None and source.timestamp is not None:
        yield (source.offset, source.timestamp), Published(Place(topic, record.offset), message_id)


def _verdict_source(record: Any) -> tuple[Source | None, str | None]:
    try:
        seen = _SEEN.decode(record.value or b"")
    except UNREADABLE:
        # Not written by a worker, so it is nobody's outcome.
        return None, None
    if seen.mode != "live" or seen.run_id is not None or seen.supersedes:
        return None, None
    return seen.source, seen.message_id


def _lost_span(record: Any, topic: OutcomeTopic, messages: str) -> tuple[int, int] | None:
    """Return which offsets of its own partition a record declares as lost; None where it does not."""
    run = lost_run(record.headers) if topic == "dead-letters" else None
    if run is None or (run.topic, run.partition) != (messages, record.partition):
        return None
    return run.start, run.end


def _letter_source(record: Any) -> Source | None:
    headers = {name: value for name, value in record.headers if name.startswith("source_")}
    try:
        return Source(
            topic=headers["source_topic"].decode(),
            partition=int(headers["source_partition"]),
            offset=int(headers["source_offset"]),
            timestamp=int(headers["source_timestamp"]),
        )
    except (KeyError, ValueError, AttributeError, TypeError):
        return None
