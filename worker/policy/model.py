"""What a message is judged under: the effective policy, made of platform floor, tenant and channel.

Pure. ``combine.py`` builds these values from policy records; judge, stream and training only read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from worker.records import (
    PLATFORM,
    Action,
    Clause,
    FloorMode,
    Policy,
    PolicyPart,
    PolicyRef,
    Reasoning,
    Rung,
    Severity,
    Status,
    TraceLevel,
    canonical_json,
    sha256_hex,
)

DEFAULT_THRESHOLD: Final = 0.5
DEFAULT_SEVERITY: Final[Severity] = "medium"
DEFAULT_ACTION: Final[Action] = "review"
#: The language range that takes every language (RFC 4647, basic filtering).
ANY_LANGUAGE: Final = "*"
#: From cheap to thorough; the later wins.
REASONINGS: Final[tuple[Reasoning, ...]] = ("never", "when_unsure", "always")
#: Lowest and highest score of a review band.
Band = tuple[float, float]
#: Where a policy has no review band, ``when_unsure`` reasons inside this one.
UNSURE: Final[Band] = (0.2, 0.8)
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


class Asking(Struct, frozen=True, kw_only=True):
    """How a call is asked.

    Attributes:
        reasoning: whether the model reasons.
        review_band: the scores inside which it is unsure.
        languages: those that the call is made for; empty means all.
        is_brief: whether a reasoning gets the smaller budget.

    """

    reasoning: Reasoning = "always"
    review_band: Band | None = None
    languages: tuple[str, ...] = ()
    is_brief: bool | UnsetType = UNSET


class Judging(Struct, frozen=True, kw_only=True):
    """Everything of an effective policy that can change a verdict; its canonical JSON is digested.

    ``floor`` is how the floor's call is asked; unset where that is no different from what all parts say
    together, so that it changes no digest there.
    """

    categories: tuple[EffectiveCategory, ...]
    prose: tuple[Prose, ...] = ()
    default_action: Action = DEFAULT_ACTION
    on_failure: dict[Status, Action] = {}
    reasoning: Reasoning = "always"
    review_band: Band | None = None
    trace: TraceLevel = "full"
    languages: tuple[str, ...] = ()
    floor_mode: FloorMode = "separate"
    floor: Asking | UnsetType = UNSET
    refuse_rungs: tuple[Rung, ...] | UnsetType = UNSET


class EffectivePolicy(Struct, frozen=True, kw_only=True, dict=True):
    """What one message is judged under. Parts stand in the order floor, tenant, channel.

    ``rung`` says what is left out of it because of overload; it is no part of the policy's digest.
    """

    judging: Judging
    parts: tuple[PolicyPart, ...]
    rung: Rung | None = None

    def at(self, rung: Rung | None) -> EffectivePolicy:
        """Return the same policy at a rung of the overload ladder; made once for each."""
        view = self._views.get(rung)
        if view is None:
            view = self._views[rung] = structs.replace(self, rung=rung)
        return view

    @cached_property
    def _views(self) -> dict[Rung | None, EffectivePolicy]:
        return {self.rung: self}

    @property
    def refused_rungs(self) -> tuple[Rung, ...]:
        """The rungs that a part refuses."""
        return self.judging.refuse_rungs or ()

    @cached_property
    def reasons(self) -> bool:
        """Whether any call may reason, so that there is something to leave out."""
        return any(call.asking.reasoning != "never" for call in self.calls)

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
        """What is judged together; a model may want it in parts (``judge/asking.py``).

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

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The panels, each with how it is asked: what holds the floor's words is asked as the floor says."""
        judging = self.judging
        own = Asking(reasoning=judging.reasoning, review_band=judging.review_band, languages=judging.languages)
        floor = judging.floor or own
        asked = ((panel, _asking(panel, floor, own)) for panel in self.panels)
        return tuple(Call(panel=panel, asking=_at_rung(asking, self.rung)) for panel, asking in asked)

    @cached_property
    def calls_apart(self) -> tuple[Call, ...]:
        """The calls for a model that is asked for each category by itself."""
        return tuple(structs.replace(call, panel=panel) for call in self.calls for panel in call.panel.apart)

    def calls_for(self, language: str | None, *, apart: bool = False) -> tuple[Call, ...]:
        """Return the calls that a message of this language needs; its author may have named none."""
        calls = self.calls_apart if apart else self.calls
        return tuple(call for call in calls if takes(call.asking.languages, language))

    def speaks(self, language: str | None) -> bool:
        """Tell whether all parts take the language; where not, the status is ``language_unsupported``."""
        return takes(self.judging.languages, language)

    def on_failure(self, status: Status) -> Action:
        """Return the action for a message that could not be judged (``review`` if nothing is said)."""
        return self.judging.on_failure.get(status, "review")


class Panel(Struct, frozen=True, kw_only=True):
    """Categories and prose that may stand in one prompt."""

    categories: tuple[EffectiveCategory, ...]
    prose: tuple[Prose, ...] = ()

    @property
    def apart(self) -> tuple[Panel, ...]:
        """A panel for each category; one with prose stays whole, since prose may allow or forbid something of any."""
        if self.prose or not self.categories:
            return (self,)
        return tuple(Panel(categories=(one,)) for one in self.categories)


class Call(Struct, frozen=True, kw_only=True):
    """A panel, and how it is asked."""

    panel: Panel
    asking: Asking


def takes(languages: Sequence[str], language: str | None) -> bool:
    """Tell whether a language is one of a list; ``en`` takes ``en-GB`` too, ``*`` all (RFC 4647, basic filtering)."""
    if not languages or not language or ANY_LANGUAGE in languages:
        return True
    given = language.casefold()
    return any(given == listed or given.startswith(listed + "-") for listed in map(str.casefold, languages))


def _asking(panel: Panel, floor: Asking, own: Asking) -> Asking:
    """Return how a panel is asked: the floor's by the floor alone, a joined one by the stricter of both."""
    scopes = {category.scope for category in panel.categories} | {prose.scope for prose in panel.prose}
    if PLATFORM not in scopes:
        return own
    if scopes == {PLATFORM}:
        return floor
    reasoning = max(floor.reasoning, own.reasoning, key=REASONINGS.index)
    band = _wider(floor.review_band, own.review_band)
    return Asking(reasoning=reasoning, review_band=band, languages=floor.languages)


def _wider(one: Band | None, other: Band | None) -> Band | None:
    """Return a band around both; None stands for ``UNSURE``, which no narrow one may take from the floor."""
    if one == other:
        return one
    first, second = one or UNSURE, other or UNSURE
    return min(first[0], second[0]), max(first[1], second[1])


def _at_rung(asking: Asking, rung: Rung | None) -> Asking:
    """Return how a call is asked at a rung of the overload ladder."""
    if rung == "short_reasoning":
        return structs.replace(asking, is_brief=True)
    return structs.replace(asking, reasoning="never") if rung == "label_only" else asking


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
