"""What a message is judged under: the effective policy, made of platform floor, tenant and channel.

Pure. ``combine.py`` builds these values from policy records; judge, stream and training only read them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import msgspec
from msgspec import Struct

from worker.records import (
    PLATFORM,
    Action,
    Clause,
    FloorMode,
    Policy,
    PolicyPart,
    PolicyRef,
    Reasoning,
    Severity,
    Status,
    TraceLevel,
    canonical_json,
    sha256_hex,
)

DEFAULT_THRESHOLD: Final = 0.5
DEFAULT_SEVERITY: Final[Severity] = "medium"
DEFAULT_ACTION: Final[Action] = "review"
#: Fields of a policy record that say nothing about how a text is judged.
NOT_JUDGING: Final = frozenset({"version", "author", "reason", "updated_at", "golden", "min_pass"})


class EffectiveCategory(Struct, frozen=True, kw_only=True):
    """A category in force; ``scope`` is the policy record that it came from."""

    scope: str
    id: str
    name: str
    definition: str = ""
    violates: tuple[Clause, ...] = ()
    allowed: tuple[Clause, ...] = ()
    severity: Severity = DEFAULT_SEVERITY
    threshold: float = DEFAULT_THRESHOLD
    action: Action = DEFAULT_ACTION


class Prose(Struct, frozen=True, kw_only=True):
    """The free text of one part, kept word for word."""

    scope: str
    text: str


class Judging(Struct, frozen=True, kw_only=True):
    """Everything of an effective policy that can change a verdict; its canonical JSON is digested."""

    categories: tuple[EffectiveCategory, ...]
    prose: tuple[Prose, ...] = ()
    default_action: Action = DEFAULT_ACTION
    on_failure: dict[Status, Action] = {}
    reasoning: Reasoning = "always"
    review_band: tuple[float, float] | None = None
    trace: TraceLevel = "full"
    languages: tuple[str, ...] = ()
    floor_mode: FloorMode = "separate"


class EffectivePolicy(Struct, frozen=True, kw_only=True, dict=True):
    """What one message is judged under. Parts stand in the order floor, tenant, channel."""

    judging: Judging
    parts: tuple[PolicyPart, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of ``judging``: equal policies have equal digests."""
        return sha256_hex(canonical_json(self.judging))

    @cached_property
    def ref(self) -> PolicyRef:
        """What a verdict says of its policy."""
        return PolicyRef(digest=self.digest, parts=self.parts)

    @cached_property
    def lowest_threshold(self) -> float:
        """The score from which on a text is unsafe: the lowest of all categories, 0.5 where there is prose alone."""
        return min((category.threshold for category in self.judging.categories), default=DEFAULT_THRESHOLD)

    @cached_property
    def panels(self) -> tuple[Panel, ...]:
        """The calls that one message needs.

        Floor categories are judged in a call of their own where tenant or channel add prose of any
        kind, since prose in the same prompt can talk a model out of the floor.
        """
        floor = tuple(item for item in self.judging.categories if item.scope == PLATFORM)
        own = tuple(item for item in self.judging.categories if item.scope != PLATFORM)
        floor_prose = tuple(item for item in self.judging.prose if item.scope == PLATFORM)
        own_prose = tuple(item for item in self.judging.prose if item.scope != PLATFORM)
        apart = self.judging.floor_mode == "separate" and (floor or floor_prose) and (own or own_prose)
        if not apart:
            return (Panel(categories=self.judging.categories, prose=self.judging.prose),)
        return (Panel(categories=floor, prose=floor_prose), Panel(categories=own, prose=own_prose))

    def on_failure(self, status: Status) -> Action:
        """Return the action for a message that could not be judged (``review`` if nothing is said)."""
        return self.judging.on_failure.get(status, "review")


class Panel(Struct, frozen=True, kw_only=True):
    """The categories and prose that stand in one prompt."""

    categories: tuple[EffectiveCategory, ...]
    prose: tuple[Prose, ...] = ()


class Rehearsal(Struct, frozen=True, kw_only=True):
    """A policy that is tried on live messages before it is live.

    Attributes:
        scope: key of the live record whose place it takes.
        digest: digest of the record that is tried; ``run_id`` of what it judges.
        effective: what messages are judged under as if it were live.

    """

    scope: str
    digest: str
    effective: EffectivePolicy


#: What a verdict refers to where there was no policy at all.
NO_POLICY: Final = PolicyRef(digest=None, parts=())


def record_digest(policy: Policy) -> str:
    """Return the digest of one policy record: of what judges, whoever wrote it and whenever."""
    fields = msgspec.to_builtins(policy)
    return sha256_hex(canonical_json({key: value for key, value in fields.items() if key not in NOT_JUDGING}))
