"""``rsafe topics create``: every topic that the worker needs, as often as one likes."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from worker.config import Settings
from worker.topics import TopicsReport, create_topics


def create(
    settings: Settings, partitions: int, replication: int | None = None, min_isr: int | None = None, *, as_json: bool
) -> None:
    """Create what is missing, grow what is too small, and say what was done.

    Raises:
        UsageError: numbers that contradict each other or the cluster.
        BrokerAway: Kafka does not answer.
        ConfigError: Kafka refuses.

    """
    report = asyncio.run(
        create_topics(settings.bootstrap_servers, settings.topic_prefix, partitions, replication, min_isr)
    )
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(msgspec.json.encode(report).decode() if as_json else _in_words(report))


def _in_words(report: TopicsReport) -> str:
    lines = [f"created {name}" for name in report.created]
    lines += [f"grew {name} to {count} partitions" for name, count in report.grown.items()]
    return "\n".join(lines or ["nothing to do: all topics are there"])
