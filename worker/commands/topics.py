"""``rsafe topics``: every topic that the worker needs, and what each login must be allowed to do with them."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from worker import acls as table
from worker.config import Settings
from worker.errors import UsageError
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
        create_topics(
            settings.bootstrap_servers, settings.topic_prefix, partitions, replication, min_isr, login=settings
        )
    )
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(msgspec.json.encode(report).decode() if as_json else _in_words(report))


def _in_words(report: TopicsReport) -> str:
    lines = [f"created {name}" for name in report.created]
    lines += [f"grew {name} to {count} partitions" for name, count in report.grown.items()]
    return "\n".join(lines or ["nothing to do: all topics are there"])


def acls(settings: Settings, role: str, principal: str, shadow: str | None, *, as_json: bool) -> None:
    """Print what Kafka has to allow a role's login; nothing connects.

    Without a login of their own the rehearsals write with the worker's, which then needs their topics too.

    Raises:
        UsageError: no such role.

    """
    if as_json:
        print(table.as_json(settings).decode(), end="")
        return
    if role not in table.ROLES:
        text = f"--role {role!r} is none of {', '.join(table.ROLES)}"
        raise UsageError(text)
    rows = [(acl, principal) for acl in table.acls(role, settings)]
    if role == "worker":
        rows += [(acl, shadow or principal) for acl in table.acls("shadow", settings)]
    for acl, who in rows:
        print(table.command(acl, who, settings.bootstrap_servers))
