"""Dead letters with a subject's words that are sealed as somebody else's: their records say no tenant, or another one.

Whose author such a record means, nobody can know from it, and anybody may send a message in place of another.
So they are listed for a person to look at, and not erased.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from worker import credentials
from worker.audit.erasing.whole import whole
from worker.client import read_dead_letter
from worker.config import Settings
from worker.decoding import lenient_json
from worker.erasure.sealed_words import letter_key, opened_letter
from worker.erasure.subject_keys import KnownKey, read_keys
from worker.erasure.subjects import Names, Subject, record_subject
from worker.errors import ConfigError, DecodeError, TopicMissing
from worker.records import Source


async def misfiled(
    settings: Settings, subject: Subject, own: Collection[str], redriven: Collection[str]
) -> tuple[str, ...] | None:
    """Return the places in ``messages`` of such dead letters that can be read; None where this login may not look.

    Args:
        settings: addresses and the ``digest_key``.
        subject: whose words.
        own: ids of the subject's own keys; an erasure takes what is sealed under them anyway.
        redriven: what messages of the subject were sent in place of, as ``redrive_of`` says it.

    Raises:
        StreamError: Kafka is away, or keys cannot be read.

    """
    try:
        ids = {letter_key(record.headers) or "" async for record in whole(settings, "dead-letters")} - {"", *own}
        keys = await read_keys(settings, ids)
        search = _Search(subject, Names(credentials.digests(settings)), keys, redriven)
        found = [search.place(record) async for record in whole(settings, "dead-letters")]
    except (ConfigError, TopicMissing):
        return None
    return tuple(one for one in found if one is not None)


class _Search(Struct, frozen=True):
    subject: Subject
    names: Names
    keys: Mapping[str, KnownKey]
    redriven: Collection[str]

    def place(self, record: ConsumerRecord) -> str | None:
        """Return the place of a dead letter's record if it is one of those."""
        key = self.keys.get(letter_key(record.headers) or "")
        if key is None or key.secret is None:
            return None
        try:
            read = read_dead_letter(record)
        except DecodeError:
            return None
        partition, offset = read.place
        source = Source(topic=read.topic, partition=partition, offset=offset, timestamp=None)
        place = f"{partition}/{offset}"
        if f"{read.topic}/{place}" in self.redriven:
            return place
        is_nobodys = key.subject == self.names.name(record_subject(place))
        return place if is_nobodys and self._is_named(record, source, key) else None

    def _is_named(self, record: ConsumerRecord, source: Source, key: KnownKey) -> bool:
        body, _ = opened_letter(source, record.value, key)
        return body is not None and named(body.value or b"", self.subject)


def named(value: bytes, subject: Subject) -> bool:
    """Tell whether bytes that say no author of a tenant hold a subject's id, and no other tenant's."""
    if subject.kind == "record":
        return False
    try:
        found = lenient_json(value)
    except (ValueError, UnicodeError, RecursionError):
        found = None
    fields = found if isinstance(found, dict) else {}
    tenant = fields.get("tenant_id")
    if isinstance(tenant, str) and tenant != subject.tenant_id:
        return False
    return fields.get(f"{subject.kind}_id") == subject.id or msgspec.json.encode(subject.id) in value
