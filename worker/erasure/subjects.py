"""Whose words a record holds, and by which name ``subject-keys`` and ``erasures`` know them. Pure."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from worker.decoding import lenient_json
from worker.digests import Digests
from worker.erasure.records import SubjectKind
from worker.errors import ConfigError, UsageError, WrongDigestKey
from worker.records import Message, Source, canonical_json, or_none

#: Digits of a subject's name that tell the ``digest_key``.
_CHECK_DIGITS: Final = 8


class Subject(Struct, frozen=True):
    """An author or a conversation of a tenant; or a record that names neither, by partition and offset."""

    kind: SubjectKind
    tenant_id: str | None
    id: str


def subject_of(message: Message, source: Source) -> Subject:
    """Return whose words a message holds: its author's, else its conversation's, else its own."""
    return _subject(message.tenant_id, or_none(message.author_id), or_none(message.conversation_id), source)


def subject_of_bytes(value: bytes | None, source: Source) -> Subject:
    """Return the same for bytes that are no message, as far as they tell."""
    try:
        found = lenient_json(value or b"")
    except (ValueError, UnicodeError, RecursionError):
        found = None
    fields = found if isinstance(found, dict) else {}
    tenant, author, conversation = (fields.get(name) for name in ("tenant_id", "author_id", "conversation_id"))
    return _subject(tenant, author, conversation, source)


def _subject(tenant: object, author: object, conversation: object, source: Source) -> Subject:
    if isinstance(tenant, str) and isinstance(author, str) and author:
        return Subject("author", tenant, author)
    if isinstance(tenant, str) and isinstance(conversation, str) and conversation:
        return Subject("conversation", tenant, conversation)
    return record_subject(f"{source.partition}/{source.offset}")


def record_subject(place: str) -> Subject:
    """Return the subject of a record of ``messages`` that names nobody; ``place`` is ``<partition>/<offset>``."""
    return Subject("record", None, place)


def wanted(tenant: str | None, author: str | None, conversation: str | None, record: str | None) -> Subject:
    """Return the subject that somebody asks for.

    Raises:
        UsageError: it is not exactly one, or the tenant is missing.

    """
    if sum(one is not None for one in (author, conversation, record)) != 1:
        text = "whose words? give one of --author, --conversation, --record"
        raise UsageError(text)
    if record is not None:
        partition, slash, offset = record.partition("/")
        if not (slash and partition.isdecimal() and offset.isdecimal()):
            text = f"{record!r} is no place in messages; give PARTITION/OFFSET, as 'rsafe dlq list' shows it"
            raise UsageError(text)
        return record_subject(f"{int(partition)}/{int(offset)}")
    if tenant is None:
        text = "authors and conversations are a tenant's; add --tenant"
        raise UsageError(text)
    if author is not None:
        return Subject("author", tenant, author)
    return Subject("conversation", tenant, str(conversation))


class Names:
    """Gives subjects their names under one ``digest_key``."""

    def __init__(self, digests: Digests) -> None:
        """Take the key.

        Raises:
            ConfigError: there is none.

        """
        if not digests:
            text = "subjects are named under a secret; set digest_key_file, the same as the workers have"
            raise ConfigError(text)
        self._digests = digests
        self.check: Final = digests.keyed("check", "")[:_CHECK_DIGITS]

    def name(self, subject: Subject) -> str:
        """Return a subject's name: the same at every worker with this key."""
        parts = canonical_json([subject.kind, subject.tenant_id, subject.id]).decode()
        return f"{self.check}.{self._digests.keyed('subject', parts)}"

    def verify(self, name: str) -> None:
        """Return if a name was given under this key.

        Raises:
            WrongDigestKey: it was another one.

        """
        if not name.startswith(f"{self.check}."):
            text = (
                "digest_key is not the one that subject-keys and erasures were begun with: holds would hold nobody,"
                " erasing would miss keys; set that one"
            )
            raise WrongDigestKey(text)
