"""Which records of ``exceptions`` allow something, and for messages from when to when. Pure.

Whether a record is good follows from it, its place and the key of fingerprints alone. So every worker and
every replay comes to the same answer without asking the others, and no decision has to be kept beside it.
"""

from __future__ import annotations

import unicodedata
from typing import Final, NoReturn

from msgspec import UNSET, Struct

from worker.errors import ExceptionInvalid
from worker.exceptions.records import EVERYBODY, ExceptionRecord
from worker.records import PLATFORM, decode, sha256_hex

#: Longest life: then somebody has to look at it again.
MAX_DAYS: Final = 180
#: A record counts for messages that Kafka took so long after it, and later ones. By then every worker has read it.
DELAY_MS: Final = 1000
MAX_RECORD_BYTES: Final = 64 * 1024
MAX_CATEGORIES: Final = 64
MAX_REASON_CHARS: Final = 1000
#: Stands for the key of whoever made a fingerprint, where none is compared.
ANY_KEY: Final = ""
_DAY_MS: Final = 24 * 60 * 60 * 1000
_BREAKS: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
_KEY: Final = "'<scope>#<id>', as scope and id stand in the record"


class Incoming(Struct, frozen=True, kw_only=True):
    """A record of ``exceptions`` as it came; ``timestamp`` is Kafka's, in milliseconds."""

    key: bytes | None
    value: bytes | None
    partition: int
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def name(self) -> str:
        """The key as text that fits any record, whatever its bytes are."""
        return (self.key or b"").decode("utf-8", "backslashreplace")


class Accepted(Struct, frozen=True, kw_only=True):
    """An exception that may be in force.

    Attributes:
        key: ``<scope>#<id>``.
        record: what it says.
        digest: SHA-256 of the record's bytes, in hex.
        until_ms: Kafka's time of the first message that it no longer counts for.

    """

    key: str
    record: ExceptionRecord
    digest: str
    until_ms: int

    @property
    def is_platform(self) -> bool:
        """Whether it is the platform's word, which alone may except from the floor."""
        return self.record.scope == EVERYBODY


def key_of(scope: str, exception_id: str) -> str:
    """Return the key of an exception."""
    return f"{scope}#{exception_id}"


def accept(incoming: Incoming, key_id: str | None) -> Accepted:
    """Return a record with a value as an exception.

    Args:
        incoming: the record.
        key_id: id of the key that fingerprints are compared under; None where there is none, ``ANY_KEY``
            where nothing is compared.

    Raises:
        ExceptionInvalid: naming the first wrong field and what should stand there.

    """
    value = incoming.value or b""
    if len(value) > MAX_RECORD_BYTES:
        refuse("", f"JSON of at most {MAX_RECORD_BYTES // 1024} KiB")
    record = decode(value, ExceptionRecord, ExceptionInvalid)
    if incoming.key != key_of(record.scope, record.id).encode():
        refuse("key", _KEY)
    _check_words(record)
    _check_match(record)
    _check_fingerprint(record, key_id)
    return Accepted(
        key=incoming.name, record=record, digest=sha256_hex(value), until_ms=_until_ms(record, incoming.timestamp)
    )


def refuse(field: str, expected: str) -> NoReturn:
    """Refuse a record.

    Raises:
        ExceptionInvalid: always.

    """
    raise ExceptionInvalid(field, expected)


def _check_words(record: ExceptionRecord) -> None:
    for field, text in (("owner", record.owner), ("reason", record.reason)):
        if not text.strip() or any(unicodedata.category(sign) in _BREAKS for sign in text):
            refuse(field, "one line of text without control characters")
    if len(record.reason) > MAX_REASON_CHARS:
        refuse("reason", f"at most {MAX_REASON_CHARS} characters")
    if len(record.categories) > MAX_CATEGORIES:
        refuse("categories", f"at most {MAX_CATEGORIES} ids")


def _check_match(record: ExceptionRecord) -> None:
    tenant, slash, channel = record.scope.partition("/")
    if PLATFORM in {tenant, record.tenant_id}:
        refuse("scope", "'*' for the platform's exceptions, or a tenant")
    if tenant != EVERYBODY and record.tenant_id is not UNSET:
        refuse("tenant_id", "nothing: the scope names the tenant already")
    if slash and record.channel_id is not UNSET:
        refuse("channel_id", "nothing: the scope names the channel already")
    if not channel and all(one is UNSET for one in (record.channel_id, record.author_id, record.fingerprint)):
        refuse("author_id", "an author, or else a channel_id or a fingerprint: an exception for everything is a policy")
    of_a_tenant = record.author_id is not UNSET or record.channel_id is not UNSET
    if tenant == EVERYBODY and of_a_tenant and record.tenant_id is UNSET:
        refuse("tenant_id", "the tenant whose author or channel is meant: ids of several tenants may be equal")


def _check_fingerprint(record: ExceptionRecord, key_id: str | None) -> None:
    if record.fingerprint is UNSET or key_id == ANY_KEY:
        return
    if key_id is None:
        refuse("fingerprint", "nothing, since digest_key is not set here; set it, the same for all workers")
    if record.fingerprint.partition(":")[0] != key_id:
        refuse("fingerprint", "one that was made with the digest_key of the workers; put the text again")


def _until_ms(record: ExceptionRecord, written_ms: int) -> int:
    until_ms = round(record.expires_at.timestamp() * 1000)
    if not written_ms + DELAY_MS < until_ms <= written_ms + MAX_DAYS * _DAY_MS:
        refuse("expires_at", f"a time after the record's own, at most {MAX_DAYS} days later")
    return until_ms
