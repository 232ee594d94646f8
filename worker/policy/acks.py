"""Which workers judge by what: announcements in ``policy-applied`` against the members of the workers' group."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final

from msgspec import UNSET, Struct

from worker import kafka
from worker.config import Settings
from worker.errors import ConfigError, RecordError, StreamError
from worker.kafka_errors import translated
from worker.records import PolicyApplied, decode

_CLOSE_S: Final = 2.0
#: What is read is there already: no fetch has to wait at a log's end.
_FETCH_WAIT_MS: Final = 10


class Applied(Struct, frozen=True, kw_only=True):
    """How many workers hold what is in force for one key.

    Attributes:
        workers: members of the workers' group that hold it.
        members: members of the group.
        after_s: seconds from Kafka's time of the record to the last of their announcements; null where
            each of them started later, or nobody holds it.

    """

    workers: int
    members: int
    after_s: float | None


class Said(Struct, frozen=True, kw_only=True):
    """What one worker said of one key: what it holds, and when it first held the record at each offset."""

    digest: str | None
    first_ms: dict[int, float]


class Roll:
    """Announcements by key and worker; holds the last word of each, and the first time of each record."""

    def __init__(self, announcements: Iterable[PolicyApplied], members: Iterable[str]) -> None:
        """Take in announcements in the order of the topic, and the client ids of the group's members."""
        self._members = tuple(members)
        self._said: dict[tuple[str, str], Said] = {}
        for one in announcements:
            self._hear(one)

    def _hear(self, one: PolicyApplied) -> None:
        key = (one.scope, one.instance_id)
        first_ms = self._said[key].first_ms if key in self._said else {}
        if one.repeated is UNSET or not one.repeated:
            first_ms.setdefault(one.offset, one.applied_at.timestamp() * 1000)
        self._said[key] = Said(digest=one.digest, first_ms=first_ms)

    def applied(self, scope: str, digest: str, offset: int, timestamp_ms: int) -> Applied:
        """Return who holds what is in force for a key.

        Args:
            scope: the key.
            digest: of the record in force.
            offset: its place in ``policies``.
            timestamp_ms: Kafka's time of the record.

        """
        words = [self._said.get((scope, member)) for member in self._members]
        holding = [said for said in words if said is not None and said.digest == digest]
        times = [said.first_ms[offset] for said in holding if offset in said.first_ms]
        # The two clocks are not one: a worker's may stand behind the broker's.
        after_s = max(0.0, round((max(times) - timestamp_ms) / 1000, 3)) if times else None
        return Applied(workers=len(holding), members=len(self._members), after_s=after_s)


async def read_roll(settings: Settings) -> Roll | None:
    """Read who said what and who is there now; None where Kafka does not tell.

    Policies can be listed all the same: a group that never was has no coordinator on a new broker, and
    who may read policies need not be allowed to look at groups.
    """
    try:
        members = await _members(settings)
        return Roll([one async for one in _announcements(settings)] if members else [], members)
    except (StreamError, ConfigError):
        return None


async def _members(settings: Settings) -> list[str]:
    """Return the client id of each member of the workers' group, which is its instance's name."""
    admin = kafka.make_admin(settings)
    await kafka.start(admin, settings)
    try:
        with translated(f"asking for the members of {settings.group_id}"):
            responses = await admin.describe_consumer_groups([settings.group_id])
    finally:
        await kafka.close(admin, _CLOSE_S)
    return [name for response in responses for name in member_names(response.to_object())]


def member_names(response: Mapping[str, Any]) -> list[str]:
    """Return the client ids in a DescribeGroups response; none where the group does not exist."""
    return [member["client_id"] for group in response["groups"] for member in group["members"]]


async def _announcements(settings: Settings) -> AsyncIterator[PolicyApplied]:
    async with kafka.reader(settings, fetch_max_wait_ms=_FETCH_WAIT_MS, close_s=_CLOSE_S) as consumer:
        partitions = await kafka.partitions_of(consumer, settings.topic("policy-applied"))
        for partition, (first, end) in (await kafka.bounds(consumer, partitions)).items():
            consumer.assign([partition])
            consumer.seek(partition, first)
            async for record in kafka.read(consumer, partition, end, settings.kafka_timeout_s):
                try:
                    yield decode(record.value or b"", PolicyApplied, RecordError)
                except RecordError:
                    # Not written by a worker, so nobody holds anything by it.
                    continue
