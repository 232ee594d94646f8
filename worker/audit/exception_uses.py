"""How exceptions fare: the verdicts that name them, counted from the topic."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from worker import kafka
from worker.audit.span import at_times
from worker.config import Settings

_NEEDLE: Final = b'"suppressions"'


class _Named(Struct, frozen=True, gc=False):
    exception: str


class _Seen(Struct, frozen=True, gc=False):
    """The fields of a verdict that say which exceptions took something back."""

    mode: str
    suppressions: tuple[_Named, ...]
    suppressed_by: str | UnsetType = UNSET
    supersedes: str | UnsetType | None = UNSET


_SEEN: Final = msgspec.json.Decoder(_Seen)


class Uses(Struct, frozen=True, kw_only=True):
    """Live verdicts since a time.

    Attributes:
        verdicts: those of which the exception took hits back.
        changed: those of them whose recommended action is milder for it (it is their ``suppressed_by``).
        last_at: Kafka's time of the last one; null where there is none.

    """

    verdicts: int = 0
    changed: int = 0
    last_at: dt.datetime | None = None


async def read_uses(settings: Settings, from_ms: int) -> dict[str, Uses]:
    """Count by exception, over the verdicts that were written since a time (Kafka's milliseconds).

    Raises:
        BrokerAway: Kafka stopped answering.
        TopicMissing: ``verdicts`` does not exist.

    """
    found: dict[str, Uses] = {}
    async with kafka.reader(settings) as consumer:
        logs = await kafka.bounds(consumer, await kafka.partitions_of(consumer, settings.topic("verdicts")))
        starts = await at_times(consumer, logs, from_ms)
        for one, (first, end) in logs.items():
            consumer.assign([one])
            consumer.seek(one, max(first, starts[one]))
            async for record in kafka.read(consumer, one, end, settings.kafka_timeout_s):
                if record.value and _NEEDLE in record.value:
                    _count(found, record)
    return found


def _count(found: dict[str, Uses], record: Any) -> None:
    try:
        seen = _SEEN.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if seen.mode != "live" or seen.supersedes:
        return
    at = dt.datetime.fromtimestamp(record.timestamp / 1000, dt.UTC)
    for one in seen.suppressions:
        before = found.get(one.exception, Uses())
        found[one.exception] = Uses(
            verdicts=before.verdicts + 1,
            changed=before.changed + (seen.suppressed_by == one.exception),
            last_at=max(at, before.last_at or at),
        )
