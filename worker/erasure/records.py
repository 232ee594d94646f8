"""What the topics ``subject-keys`` and ``erasures`` hold.

A *subject* is whoever words are about: an author, a conversation where no author is named, or a single
record that names neither. Both topics know subjects by a keyed digest alone (``worker/erasure/subjects.py``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from worker.records import Name, Rfc3339

SubjectKind = Literal["author", "conversation", "record"]
ErasureState = Literal["begun", "done", "held", "released"]
#: Eight hex digits that tell the ``digest_key``, and the subject's HMAC under it.
SubjectName = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}\.[0-9a-f]{64}(?!\n)$")]
Person = Annotated[str, Meta(min_length=1, max_length=256)]


class SubjectKey(Struct, frozen=True, kw_only=True):
    """A sealing key, under ``<subject>/<key id>``; to erase it, it is written again without ``key``."""

    key: str | None
    created_at: Rfc3339
    erased_at: Rfc3339 | None = None


class Erasure(Struct, frozen=True, kw_only=True):
    """What was done about a subject: a receipt of an erasure, or a legal hold; never changed, always appended.

    Of the records about holds of one subject the last one counts (``held`` or ``released``). An erasure is
    ``begun``, then ``done``: words of messages that Kafka stamped before its beginning stay unreadable.
    """

    erasure_id: str
    state: ErasureState
    subject: SubjectName
    kind: SubjectKind
    tenant_id: Name | None
    by: Person
    reason: str | None
    at: Rfc3339
    keys: int | None = None
    messages_until: Rfc3339 | None = None
    messages_newest: Rfc3339 | None = None
    not_covered: tuple[str, ...] = ()
