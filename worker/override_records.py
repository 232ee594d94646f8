"""What the topic ``overrides`` holds: decisions of people about verdicts."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from worker.records import Action, CategoryId, Identifier, Label, Name, Rfc3339, Source
from worker.sealing import Sealed

Decision = Literal["uphold", "overturn", "modify"]
VerdictId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}(?!\n)$")]


class Override(Struct, frozen=True, kw_only=True):
    """A person's decision about one verdict; of several about the same verdict the last one counts.

    ``label``, ``categories`` and ``action`` are what the person puts in the verdict's place, null where
    nothing changes. ``text`` is a case in the person's own words, never those of the message.
    """

    verdict_id: VerdictId
    tenant_id: Name
    decision: Decision
    reviewer: Identifier
    reason: str | None
    label: Label | None
    categories: tuple[CategoryId, ...] | None
    action: Action | None
    decided_at: Rfc3339
    source: Source
    text: str | UnsetType = UNSET
    sealed: Sealed | UnsetType = UNSET
