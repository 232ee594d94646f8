"""``audit verify --integrity``: what can be said of the records' content beyond what each verdict says of itself.

Always (``facts.py``): digests in the records' headers, ids that follow from the source, dead letters
against their messages byte for byte. Here: traces against their digests, and outcomes against their seals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from worker import credentials, kafka
from worker.audit.span import CLOCK_SLACK_MS, at_times
from worker.audit.verify.coverage import Fault, fault
from worker.audit.verify.facts import place_of, trace_altered
from worker.audit.verify.logs import Logs
from worker.audit.verify.report import Report, with_altered
from worker.audit.verify.seals import check_seals
from worker.config import Settings
from worker.kafka_errors import translated


async def with_integrity(settings: Settings, report: Report, logs: Logs, seals: Path | None) -> Report:
    """Add what traces and seals show to a report.

    Args:
        settings: addresses and prefix.
        report: the report on the range.
        logs: the logs of the range, from the same audit.
        seals: a file of ``rsafe audit seal``; None: there is none.

    Raises:
        UsageError: there is no such file.
        AuditError: the file was changed.
        CorruptPartition: a batch cannot be read.
        BrokerAway: nobody answers.

    """
    report = with_altered(report, await check_traces(settings, logs))
    if seals is None:
        return report
    checked = await check_seals(settings, seals, {one: start for one, (start, _) in logs.outcomes.items()})
    return with_altered(report, checked.altered, sealed=checked.records)


async def check_traces(settings: Settings, logs: Logs) -> list[Fault]:
    """Return the traces of the range's time that are not what they were when they were written.

    Raises:
        CorruptPartition: a batch cannot be read.
        BrokerAway: nobody answers.

    """
    numbers = {one.partition for one in logs.messages}
    async with kafka.reader(settings) as consumer:
        twins = [
            one for one in await kafka.partitions_of(consumer, settings.topic("traces")) if one.partition in numbers
        ]
        ends = await kafka.bounds(consumer, twins)
        starts = await at_times(consumer, ends, max(0, logs.first_ms - CLOCK_SLACK_MS))
        return [line for one, (_, end) in ends.items() for line in await _altered(consumer, settings, one, starts, end)]


async def _altered(
    consumer: Any, settings: Settings, one: TopicPartition, starts: dict[TopicPartition, int], end: int
) -> list[Fault]:
    consumer.assign([one])
    with translated("looking for the log's start"):
        first = (await consumer.beginning_offsets([one]))[one]
    consumer.seek(one, min(max(first, starts[one]), end))
    digests = credentials.digests(settings)
    found = []
    async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
        reason = trace_altered(record, digests)
        if reason is not None:
            found.append(fault(place_of(record), reason))
    return found
