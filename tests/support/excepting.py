"""Exceptions for tests: records, a plain producer of them, and a worker that follows them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from prometheus_client import CollectorRegistry

from tests.support import policy_topics
from tests.support.dataplane import producer, read_all, running, send, until_verdicts, verdict_of
from tests.support.waiting import wait_until
from worker.config import Settings
from worker.exceptions.accept import Incoming
from worker.exceptions.store import ExceptionStore
from worker.metrics import Metrics
from worker.policy.store import PolicyStore

KEY: Final = "a key for tests that is long enough, 0123456789"
#: Kafka's time of records in tests without Kafka, in milliseconds.
NOW_MS: Final = 1_772_388_000_000


def fields(scope: str = "acme", name: str = "x", *, life_s: float = 3600.0, **more: Any) -> dict[str, Any]:
    """Return an exception that is made now and ends after a life, as plain data."""
    now = dt.datetime.now(dt.UTC)
    known = {"scope": scope, "id": name, "owner": "trust", "reason": "a test", "created_at": now.isoformat()}
    return known | {"expires_at": (now + dt.timedelta(seconds=life_s)).isoformat()} | more


def incoming(
    said: Mapping[str, Any] | bytes | None,
    key: str | None = None,
    *,
    partition: int = 0,
    offset: int = 0,
    timestamp: int = NOW_MS,
) -> Incoming:
    """Return a record as a worker reads it; an exception without an expiry lives for an hour."""
    named = key or (f"{said['scope']}#{said['id']}" if isinstance(said, Mapping) else "acme#x")
    whole = {"expires_at": at(timestamp + 3_600_000), **said} if isinstance(said, Mapping) else said
    value = json.dumps(whole).encode() if isinstance(whole, Mapping) else whole
    return Incoming(key=named.encode(), value=value, partition=partition, offset=offset, timestamp=timestamp)


def at(time_ms: float) -> str:
    """Return a time as it stands in records."""
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat()


def plain(scope: str = "acme", name: str = "x", **more: Any) -> dict[str, Any]:
    """Return an exception around ``NOW_MS`` without an expiry, which ``incoming`` adds."""
    known = {"scope": scope, "id": name, "owner": "trust", "reason": "a test", "created_at": at(NOW_MS)}
    return known | more


def known(metrics: Metrics, state: str) -> float:
    """Return how many exceptions a worker counts in a state."""
    return metrics.registry.get_sample_value("rsafe_exceptions", {"state": state}) or 0.0


async def publish(
    settings: Settings, key: str, value: Mapping[str, Any] | bytes | None, partition: int | None = None
) -> Any:
    """Write a record with a plain producer; return where it stands."""
    raw = json.dumps(value).encode() if isinstance(value, Mapping) else value
    async with producer(settings) as client:
        return await client.send_and_wait(settings.topic("exceptions"), raw, key=key.encode(), partition=partition)


@asynccontextmanager
async def judging(settings: Settings, metrics: Metrics | None = None) -> AsyncIterator[ExceptionStore]:
    """Run policies, exceptions and data plane, as ``rsafe run`` puts them together."""
    counted = metrics or Metrics(CollectorRegistry())
    policies = PolicyStore(settings)
    async with policy_topics.running(policies):
        exceptions = ExceptionStore(settings, policies, counted)
        try:
            await exceptions.start()
            async with running(settings, None, policies, exceptions, counted) as plane:
                await plane.joined.wait()
                yield exceptions
        finally:
            await exceptions.stop()


async def verdicts(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the live verdicts by message id."""
    return {one["message_id"]: one for one in map(verdict_of, await read_all(settings, "verdicts"))}


async def judged(settings: Settings, *values: bytes) -> dict[str, dict[str, Any]]:
    """Send messages, wait until each has its verdict, and return all verdicts by message id."""
    before = len(await read_all(settings, "verdicts"))
    await send(settings, values)
    await until_verdicts(settings, before + len(values))
    return await verdicts(settings)


async def shared(settings: Settings, workers: int) -> bool:
    """Tell whether so many workers have shared out who refuses which exceptions."""
    async with policy_topics.admin(settings) as client:
        answers = await client.describe_consumer_groups([f"{settings.group_id}.exceptions"])
    (group,) = [group for answer in answers for group in answer.to_object()["groups"]]
    return (group["state"], len(group["members"])) == ("Stable", workers)


async def until_refused(settings: Settings, wanted: int) -> list[Any]:
    """Wait until so many exceptions are dead letters, and return these."""

    async def there() -> list[Any]:
        found = await read_all(settings, "dead-letters")
        ours = [one for one in found if dict(one.headers).get("stage") == b"exception"]
        return ours if len(ours) >= wanted else []

    return await wait_until(there, what=f"{wanted} refused exceptions")
