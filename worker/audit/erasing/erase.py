"""``rsafe audit erase``: a subject's keys are written over, so that nobody reads its words any more; and the receipt.

The order makes it hold. First ``begun`` is written to ``erasures``: every worker hears it, drops the subject's
key, and from then on seals words of older messages under keys that nobody gets. Then the keys in
``subject-keys`` are written over, again until none is left: a key that a worker had on its way arrives
meanwhile. Last the receipt is written. A run that was cut short is simply run again. A hold stops it at every
step, and voids its beginning for whoever reads ``erasures`` (``worker/erasure/erased.py``).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from msgspec import Struct, structs

from worker import credentials
from worker.audit.erasing.holds import Request, append, record_of, refuse_held, verify_names, write
from worker.audit.erasing.scan import Bound, Counted, bound, count
from worker.config import Settings
from worker.erasure.records import Erasure, SubjectKey
from worker.erasure.subject_keys import KEYS, KnownKey, known_key, records
from worker.erasure.subjects import Names
from worker.errors import KeysUnavailable
from worker.records import encode

#: Times that keys are looked for again; each finds only what a worker wrote during the one before.
_PASSES: Final = 10
#: What no erasure of ours reaches.
NOT_COVERED: Final = (
    "records that were written with erasure = off, until the retention of their topics",
    "dead letters that name no tenant (--record) or another one (--tenant), found by --count as far as they tell",
    "decisions about messages that were gone by then (--record)",
    "these words as quoted in what was written about other people's messages (their context)",
    "ids in verdicts and in keys of records: tenant, conversation, message; digests, for who has digest_key",
    "copies outside Kafka: backups, exports, reports, what consumers keep",
    "prompts in the engine's prefix cache: memory, until it is overwritten or the worker ends",
    "the keys' old bytes in Kafka's files, until subject-keys is compacted: a day after its next record at most",
)
#: Places that a receipt names.
_SHOWN: Final = 100
_FOR_EVER: Final = "messages, which has no retention and keeps the text for ever"


class Plan(Struct, frozen=True, kw_only=True):
    """What an erasure would do.

    Attributes:
        subject: the name that the topics know.
        keys: keys that can still be read, and would be written over.
        erased: keys that are written over already.
        messages_until: when ``messages`` has let go of the text at the latest; null: never.
        messages_newest: of which message that is counted from: the subject's newest, or the topic's.
        counted: what was counted, if that was asked for.
        not_covered: what stays.

    """

    subject: str
    keys: int
    erased: int
    messages_until: dt.datetime | None
    messages_newest: dt.datetime | None
    counted: Counted | None
    not_covered: tuple[str, ...]


async def plan(settings: Settings, request: Request, *, counting: bool) -> Plan:
    """Say what an erasure would do; nothing is written.

    Args:
        settings: addresses and the ``digest_key``.
        request: whose words.
        counting: read messages and sealed topics whole, for counts and an exact date.

    Raises:
        LegalHold: the subject must not be erased.
        WrongDigestKey: what is there was named under another ``digest_key``.
        KeysUnavailable: keys or holds cannot be read.
        StreamError: Kafka is away, or a topic is missing.

    """
    name = record_of(settings, request, "begun").subject
    await verify_names(settings)
    await refuse_held(settings, name)
    known = await _keys_of(settings, name)
    counted = await count(settings, request.subject, {one.id for one in known}) if counting else None
    until = await bound(settings, counted)
    return Plan(
        subject=name,
        keys=sum(one.secret is not None for one in known),
        erased=sum(one.secret is None for one in known),
        messages_until=until.until,
        messages_newest=until.newest,
        counted=counted,
        not_covered=_not_covered(until, counted),
    )


async def erase(settings: Settings, request: Request, *, counting: bool) -> Erasure:
    """Erase a subject, and return the receipt as it stands in ``erasures``.

    Raises:
        LegalHold: the subject must not be erased. Nothing was, or where the hold came in the middle, nothing more.
        WrongDigestKey: what is there was named under another ``digest_key``; nothing was erased.
        KeysUnavailable: keys or holds cannot be read or written; run it again.
        StreamError: Kafka is away, or a topic is missing; run it again.

    """
    before = await plan(settings, request, counting=counting)
    begun = record_of(settings, request, "begun")
    # Counting takes minutes, in which a hold may have come.
    await refuse_held(settings, begun.subject)
    await append(settings, begun)
    erased = await _write_over(settings, begun)
    receipt = structs.replace(
        begun,
        state="done",
        keys=erased + before.erased,
        messages_until=before.messages_until,
        messages_newest=before.messages_newest,
        not_covered=before.not_covered,
    )
    await append(settings, receipt)
    return receipt


async def _write_over(settings: Settings, begun: Erasure) -> int:
    """Write over every key of a subject that can be read, and return how many those were.

    Raises:
        LegalHold: one came in between; the keys that are left stay.
        KeysUnavailable: keys cannot be read or written, or workers go on writing them.

    """
    erased = 0
    for _ in range(_PASSES):
        left = [one for one in await _keys_of(settings, begun.subject) if one.secret is not None]
        await refuse_held(settings, begun.subject, "nothing more")
        if not left:
            return erased
        value = encode(SubjectKey(key=None, created_at=begun.at, erased_at=begun.at))
        rows = [(f"{one.subject}/{one.id}".encode(), value) for one in left]
        await write(settings, KEYS, "subject-key", rows)
        erased += len(left)
    text = f"workers go on writing keys of {begun.subject}; run this again"
    raise KeysUnavailable(text)


async def _keys_of(settings: Settings, name: str) -> list[KnownKey]:
    """Return what is known of a subject's keys.

    Raises:
        WrongDigestKey: a key was named under another ``digest_key``, so this would miss some.

    """
    names = Names(credentials.digests(settings))
    found: dict[str, KnownKey] = {}
    async for record in records(settings, KEYS):
        known = known_key(record)
        if known is None:
            continue
        names.verify(known.subject)
        if known.subject == name:
            found[known.id] = known
    return list(found.values())


def _not_covered(until: Bound, counted: Counted | None) -> tuple[str, ...]:
    misfiled = counted.misfiled if counted is not None else None
    first = (_look(misfiled),) if misfiled else ()
    return (*first, *NOT_COVERED) if until.until is not None else (*first, _FOR_EVER, *NOT_COVERED)


def _look(places: tuple[str, ...]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return (
        f"dead letters that may be theirs, of messages {', '.join(places[:_SHOWN])}{more}: look ('rsafe dlq show'), and"
        " erase each with --record, or as the tenant's that it names"
    )
