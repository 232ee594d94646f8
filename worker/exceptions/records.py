"""What the topic ``exceptions`` holds: scoped, expiring allowances, each with an owner and a reason."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from worker.records import CategoryId, Identifier, Name, Rfc3339

#: The scope of exceptions that the platform makes for all tenants, or for the one that ``tenant_id`` names.
EVERYBODY: Final = "*"

ExceptionScope = Annotated[
    str, Meta(pattern=r"^(\*|[A-Za-z0-9._-]{1,128}(/[A-Za-z0-9._-]{1,128})?)(?!\n)$", max_length=257)
]
ExceptionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}(?!\n)$")]
#: Id of the key, a colon, and the keyed digest.
Fingerprint = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}:[0-9a-f]{64}(?!\n)$")]


class ExceptionRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An allowance: hits of its categories on the messages that it matches recommend no action.

    A message is matched by all of ``tenant_id``, ``channel_id``, ``author_id`` and ``fingerprint`` that
    stand here. No category means all that the scope may allow.

    Unlike other records it is refused with a field that is not known here: it may narrow the match, misspelt
    or of a newer version, and without it the exception would be a wider one than its author meant.
    """

    scope: ExceptionScope
    id: ExceptionId
    owner: Identifier
    reason: str
    created_at: Rfc3339
    expires_at: Rfc3339
    categories: tuple[CategoryId, ...] = ()
    tenant_id: Name | UnsetType = UNSET
    channel_id: Name | UnsetType = UNSET
    author_id: Identifier | UnsetType = UNSET
    fingerprint: Fingerprint | UnsetType = UNSET
