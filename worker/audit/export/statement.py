"""Statements of reasons as the DSA transparency database takes them (Regulation (EU) 2022/2065, articles 17 and 24(5)).

Field names and limits are those of its API documentation
(transparency.dsa.ec.europa.eu/page/api-documentation). Every word of text comes from the policy's ``notice``,
the ground from its ``ground``; traces, messages and ids of people are never looked at. What the policy does
not say is not invented: such a verdict is left out, with the reason. Pure.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType, structs

from worker.policy.crosswalk import dsa_categories, dsa_category
from worker.policy.history import accepted_of
from worker.policy.model import DEFAULT_ACTION
from worker.records import (
    ACTIONS,
    PLATFORM,
    Action,
    Category,
    CategoryVerdict,
    HistoryEntry,
    PolicyPart,
    Verdict,
    or_none,
    stricter,
)

Automated = Literal["fully", "partially", "not"]
Text = dict[str, str]

#: What an action means for the message's visibility; the others restrict nothing.
_VISIBILITY: Final[Mapping[Action, str]] = {
    "label": "DECISION_VISIBILITY_CONTENT_LABELLED",
    "hold": "DECISION_VISIBILITY_CONTENT_DISABLED",
    "block": "DECISION_VISIBILITY_CONTENT_REMOVED",
}
_DECIDED: Final[Mapping[Automated, str]] = {
    "fully": "AUTOMATED_DECISION_FULLY",
    "partially": "AUTOMATED_DECISION_PARTIALLY",
    "not": "AUTOMATED_DECISION_NOT_AUTOMATED",
}
#: Characters that the shortest of the three text fields takes (the ground; explanation 2000, facts 5000).
MAX_NOTICE_CHARS: Final = 500
_MAX_URL_CHARS: Final = 500
_LANGUAGE: Final = re.compile(r"([A-Za-z]{2})(?:[-_].*)?")


class Statement(Struct, frozen=True, kw_only=True):
    """One statement, field by field as the database's API names them."""

    puid: str
    decision_visibility: tuple[str, ...]
    decision_ground: str
    decision_ground_reference_url: str | UnsetType = UNSET
    illegal_content_legal_ground: str | UnsetType = UNSET
    illegal_content_explanation: str | UnsetType = UNSET
    incompatible_content_ground: str | UnsetType = UNSET
    incompatible_content_explanation: str | UnsetType = UNSET
    decision_facts: str
    category: str
    category_addition: tuple[str, ...] | UnsetType = UNSET
    content_type: tuple[str, ...] = ("CONTENT_TYPE_TEXT",)
    content_language: str | UnsetType = UNSET
    content_date: str
    application_date: str
    territorial_scope: tuple[str, ...] | UnsetType = UNSET
    source_type: str = "SOURCE_VOLUNTARY"
    automated_detection: str = "Yes"
    automated_decision: str


class Unstated(Struct, frozen=True, kw_only=True):
    """A verdict that restricts a message and cannot be stated, and why."""

    verdict_id: str
    tenant_id: str
    category: str | None
    reason: str


class Wish(Struct, frozen=True, kw_only=True):
    """What the caller says of all statements.

    Attributes:
        languages: of the notice, the best one first.
        territories: countries (two letters) where the decision holds; left out if empty.
        automated: how far the decision is the machine's; detection always is.

    """

    languages: tuple[str, ...] = ("en",)
    territories: tuple[str, ...] = ()
    automated: Automated = "fully"


class Wordings:
    """What each policy version says of its categories, from ``policy-history``."""

    def __init__(self, entries: Iterable[HistoryEntry]) -> None:
        """Take the log's entries; the first of a record counts."""
        self._entries: dict[tuple[str, int | None, str | None, int], HistoryEntry] = {}
        self._read: dict[tuple[str, int | None, str | None, int], dict[str, Category]] = {}
        for entry in entries:
            if entry.decision == "accepted":
                self._entries.setdefault((entry.scope, entry.version, entry.digest, entry.offset), entry)

    def category(self, parts: Sequence[PolicyPart], scope: str, category_id: str) -> Category | None:
        """Return a category as its author wrote it.

        A tenant may give the floor's category a notice of its own: it speaks to its own users.
        """
        own = [part for part in parts if part.scope == scope]
        others = [part for part in reversed(parts) if part.scope != scope] if scope == PLATFORM else []
        found = [found for part in [*others, *own] if (found := self._of(part).get(category_id))]
        told = next((one for one in found if or_none(one.notice) and or_none(one.ground)), None)
        return told or (found[-1] if found else None)

    def action(self, parts: Sequence[PolicyPart], scope: str, category_id: str) -> Action:
        """Return what a category asks for in force: one of the floor may have been tightened (``combine.py``)."""
        strictest: Action = "allow"
        for part in parts:
            found = self._of(part).get(category_id) if scope in {PLATFORM, part.scope} else None
            if found:
                silent: Action = DEFAULT_ACTION if part.scope == scope else "allow"
                strictest = stricter(strictest, or_none(found.action) or silent)
        return strictest

    def _of(self, part: PolicyPart) -> dict[str, Category]:
        key = (part.scope, part.version, part.digest, -1 if part.offset is None else part.offset)
        if key not in self._read:
            entry = self._entries.get(key)
            accepted = accepted_of(entry) if entry else None
            self._read[key] = {one.id: one for one in accepted.policy.categories} if accepted else {}
        return self._read[key]


def state(verdict: Verdict, decided_ms: int, wordings: Wordings, wish: Wish) -> Statement | Unstated | None:
    """Return the statement of a verdict, why there is none, or None where nothing is restricted.

    Args:
        verdict: one that stands.
        decided_ms: Kafka's time of its record, in milliseconds.
        wordings: what the policies say.
        wish: languages and the rest.

    """
    visibility = _VISIBILITY.get(verdict.action)
    if visibility is None:
        return None
    chosen = _decisive(verdict, wordings)
    if isinstance(chosen, Unstated):
        return chosen
    notice = _notice(chosen, wish.languages)
    reason = _obstacle(chosen, notice, wish.languages)
    if notice is None or reason is not None:
        return _unstated(verdict, chosen.id, reason or "it has no notice")
    statement = Statement(
        puid=verdict.verdict_id,
        decision_visibility=(visibility,),
        decision_ground="",
        decision_facts=notice,
        category=str(chosen.dsa_category),
        category_addition=_additions(verdict, wordings, chosen) or UNSET,
        content_language=_language(verdict.language),
        content_date=_date(verdict.source.timestamp or 0),
        application_date=_date(decided_ms),
        territorial_scope=wish.territories or UNSET,
        automated_decision=_DECIDED[wish.automated],
    )
    return _grounded(statement, chosen, notice)


def _decisive(verdict: Verdict, wordings: Wordings) -> Category | Unstated:
    """Return the category whose action is the strictest of the hits, the first one where several are.

    It must be the verdict's action too, or another rule gave that one: ``default_action`` names no category.
    A retraction's action is nobody's rule, so its verdict rests on the strictest hit.
    """
    if verdict.status != "judged":
        return _unstated(verdict, None, f"it was not judged (status {verdict.status})")
    hits = _hits(verdict)
    if not hits:
        return _unstated(verdict, None, "no category was hit, so no rule can be named")
    known: list[tuple[Action, Category]] = []
    for one in hits:
        category = wordings.category(verdict.policy.parts, one.scope, one.id)
        if category is None:
            return _unstated(verdict, one.id, f"policy-history lacks the record of {one.scope} that it was judged by")
        known.append((wordings.action(verdict.policy.parts, one.scope, one.id), category))
    action, chosen = max(known, key=lambda pair: ACTIONS.index(pair[0]))
    if action != verdict.action and not or_none(verdict.supersedes):
        return _unstated(verdict, None, f"no category that was hit asks for {verdict.action}, so no rule can be named")
    return chosen


def _hits(verdict: Verdict) -> list[CategoryVerdict]:
    """Return what was hit and not taken back by an exception: what the restriction rests on."""
    taken = {name for one in or_none(verdict.suppressions) or () for name in one.categories}
    return [one for one in verdict.categories if one.hit and f"{one.scope}:{one.id}" not in taken]


def _obstacle(category: Category, notice: str | None, languages: Sequence[str]) -> str | None:
    """Say what the policy must say first."""
    if notice is None:
        return f"the category has no notice in {' or '.join(languages)}"
    if len(notice) > MAX_NOTICE_CHARS:
        return f"the notice has {len(notice)} characters, and the ground of a statement takes {MAX_NOTICE_CHARS}"
    if or_none(category.ground) is None:
        return "the category has no ground (illegal or terms)"
    if or_none(category.dsa_category) not in dsa_categories():
        best = dsa_category(category.id)
        return "the category has no valid dsa_category" + (f"; the crosswalk proposes {best}" if best else "")
    return None


def _notice(category: Category, languages: Sequence[str]) -> str | None:
    said: Text = or_none(category.notice) or {}
    return next((said[language] for language in languages if said.get(language, "").strip()), None)


def _grounded(statement: Statement, category: Category, notice: str) -> Statement:
    """Add the fields of the ground; the notice is the one text there is, so it stands in each."""
    url = or_none(category.reference_url)
    reference = url if url and len(url) <= _MAX_URL_CHARS else UNSET
    if category.ground == "illegal":
        return structs.replace(
            statement,
            decision_ground="DECISION_GROUND_ILLEGAL_CONTENT",
            decision_ground_reference_url=reference,
            illegal_content_legal_ground=notice,
            illegal_content_explanation=notice,
        )
    return structs.replace(
        statement,
        decision_ground="DECISION_GROUND_INCOMPATIBLE_CONTENT",
        decision_ground_reference_url=reference,
        incompatible_content_ground=notice,
        incompatible_content_explanation=notice,
    )


def _additions(verdict: Verdict, wordings: Wordings, chosen: Category) -> tuple[str, ...]:
    """Return the database's categories of the other hits."""
    hits = (wordings.category(verdict.policy.parts, one.scope, one.id) for one in _hits(verdict))
    named = {str(or_none(one.dsa_category)) for one in hits if one}
    return tuple(sorted((named & dsa_categories()) - {str(chosen.dsa_category)}))


def _language(tag: str | None) -> str | UnsetType:
    """Return the two letters that the database takes; nothing where the tag is no such language."""
    found = _LANGUAGE.fullmatch(tag or "")
    return found[1].upper() if found else UNSET


def _date(time_ms: int) -> str:
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).date().isoformat()


def _unstated(verdict: Verdict, category: str | None, reason: str) -> Unstated:
    return Unstated(verdict_id=verdict.verdict_id, tenant_id=verdict.tenant_id, category=category, reason=reason)
