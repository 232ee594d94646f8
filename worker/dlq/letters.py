"""A dead letter as people handle it: what the record was, why it failed, what became of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from worker.client import Place, read_dead_letter
from worker.dead_letter import RAW_NAME, originals_of
from worker.decoding import UNREADABLE
from worker.erasure.sealed_words import letter_key, opened_letter
from worker.erasure.subject_keys import KnownKey
from worker.records import NAME_PATTERN, Source

#: Of more digits than people count attempts in, Python makes no number.
_ATTEMPTS: Final = re.compile(r"\d{1,9}", re.ASCII)


class Letter(Struct, frozen=True, kw_only=True):
    """One record of ``dead-letters``.

    Attributes:
        place: (partition, offset) in ``dead-letters``.
        source: (partition, offset) of the record that failed, in ``topic``.
        headers: those of the failed record.
        failed_at: RFC 3339; empty where the header is missing.
        tenant_id: as far as the value tells it.
        superseded_by: where the message was appended again, if it was.
        sealed: the key that value and headers are sealed under, if they are; see ``opened``.
        unreadable: why they cannot be read.

    """

    place: Place
    topic: str
    source: Place
    stage: str
    error: str
    detail: str
    failed_at: str
    attempts: int
    tenant_id: str | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    superseded_by: Place | None = None
    sealed: str | None = None
    unreadable: str | None = None

    @property
    def reference(self) -> str:
        """What ``redrive_of`` says of a message that takes this one's place."""
        return f"{self.topic}/{self.source[0]}/{self.source[1]}"


class Filter(Struct, frozen=True, kw_only=True):
    """Which letters are meant; what is not given does not matter.

    ``places`` are (partition, offset) in ``dead-letters``; ``unsent`` leaves out what was sent again.
    """

    places: frozenset[Place] = frozenset()
    topic: str | None = None
    stage: str | None = None
    error: str | None = None
    tenant: str | None = None
    unsent: bool = False

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        asked = ((self.topic, letter.topic), (self.stage, letter.stage), (self.error, letter.error))
        return (
            (not self.places or letter.place in self.places)
            and all(wanted is None or wanted == found for wanted, found in asked)
            and (self.tenant is None or self.tenant == letter.tenant_id)
            and not (self.unsent and letter.superseded_by)
        )


def letter_of(record: ConsumerRecord) -> Letter:
    """Read a record of ``dead-letters``.

    Raises:
        DecodeError: it has not the headers of a dead letter.

    """
    read = read_dead_letter(record)
    ours = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    attempts = ours.get("attempts", "")
    return Letter(
        place=(record.partition, record.offset),
        topic=read.topic,
        source=read.place,
        stage=read.stage,
        error=read.error,
        detail=read.detail,
        failed_at=ours.get("failed_at", ""),
        attempts=int(attempts) if _ATTEMPTS.fullmatch(attempts) else 1,
        tenant_id=_tenant(record.value),
        key=record.key,
        value=record.value,
        headers=originals_of(record.headers),
        sealed=letter_key(record.headers),
    )


def opened(letter: Letter, keys: Mapping[str, KnownKey], without: str | None = None) -> Letter:
    """Return a letter with the value and the headers of its record, or without them and why.

    Args:
        letter: one that is not sealed is returned as it is.
        keys: what is known of keys, by id.
        without: why no key could be read at all.

    """
    if letter.sealed is None:
        return letter
    source = Source(topic=letter.topic, partition=letter.source[0], offset=letter.source[1], timestamp=None)
    body, why = (None, without) if without else opened_letter(source, letter.value, keys.get(letter.sealed))
    if body is None:
        return msgspec.structs.replace(letter, value=None, headers=(), unreadable=why)
    headers = tuple((name, value) for name, value in body.headers if name != RAW_NAME)
    return msgspec.structs.replace(letter, value=body.value, headers=headers, tenant_id=_tenant(body.value))


def marked(letters: list[Letter], redriven: Mapping[str, Place]) -> list[Letter]:
    """Say of each letter where it was sent again; ``redriven`` maps references to the first such place."""
    return [msgspec.structs.replace(one, superseded_by=redriven.get(one.reference)) for one in letters]


def _tenant(value: bytes | None) -> str | None:
    """Return the tenant that a value names, if it is JSON at all; what cannot be a tenant's id may be anything."""
    try:
        fields: Any = msgspec.json.decode(value or b"")
    except UNREADABLE:
        return None
    found = fields.get("tenant_id") if isinstance(fields, dict) else None
    return found if isinstance(found, str) and re.match(NAME_PATTERN, found) else None
