"""The exceptions behind a verdict: what the record says that took hits back, as far as the topic still has it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from worker.config import Settings
from worker.errors import ExceptionInvalid, StreamError
from worker.exceptions.accept import ANY_KEY, Incoming, accept
from worker.exceptions.log import read_records
from worker.exceptions.records import ExceptionRecord
from worker.records import Verdict, or_none, sha256_hex
from worker.suppression import Suppression


class ExceptionStory(Struct, frozen=True, kw_only=True):
    """One exception that took something back.

    Attributes:
        suppression: what the verdict says of it.
        record: the record of that digest; null where it is gone, and then why.
        from_ms: Kafka's time of the record, in milliseconds.

    """

    suppression: Suppression
    record: ExceptionRecord | None = None
    from_ms: int | None = None
    note: str | None = None


async def exception_stories(settings: Settings, verdict: Verdict) -> tuple[ExceptionStory, ...]:
    """Return the story of each exception that a verdict names; nothing is read where it names none."""
    suppressions = or_none(verdict.suppressions) or ()
    return await _stories(settings, suppressions) if suppressions else ()


async def _stories(settings: Settings, suppressions: Sequence[Suppression]) -> tuple[ExceptionStory, ...]:
    try:
        records = {sha256_hex(one.value or b""): one for one in await read_records(settings)}
    except StreamError as error:
        return tuple(ExceptionStory(suppression=one, note=str(error)) for one in suppressions)
    return tuple(_story(one, records.get(one.digest)) for one in suppressions)


def _story(suppression: Suppression, found: Incoming | None) -> ExceptionStory:
    if found is None:
        return ExceptionStory(suppression=suppression, note="its record is gone: compaction took what was replaced")
    try:
        record = accept(found, ANY_KEY).record
    except ExceptionInvalid as error:
        return ExceptionStory(suppression=suppression, note=f"its record is refused today: {error}")
    return ExceptionStory(suppression=suppression, record=record, from_ms=found.timestamp)
