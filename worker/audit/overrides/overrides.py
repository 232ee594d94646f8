"""What people decide about verdicts: a decision made fit to be published, and what many of them say. Pure.

Precision is the share of unsafe verdicts that people let stand, among those that people looked at. Whoever
reviews only what is doubtful gets the precision of what is doubtful, and not of all verdicts.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import UNSET, Struct

from worker.audit.intervals import Interval, interval
from worker.errors import RecordError, UsageError
from worker.override_records import Decision, Override
from worker.records import PLATFORM, Action, Label, PolicyRef, Role, Source, Verdict, decode, encode, or_none

#: Words in a row that a rewritten case may share with the message.
_SHARED_WORDS: Final = 4
_WORD: Final = re.compile(r"\w+")


class Ruling(Struct, frozen=True, kw_only=True):
    """A decision as a person types it."""

    decision: Decision
    reviewer: str
    reason: str | None = None
    label: Label | None = None
    categories: tuple[str, ...] | None = None
    action: Action | None = None
    text: str | None = None


def override_of(verdict: Verdict, ruling: Ruling, now: dt.datetime, message: str | None) -> Override:
    """Return the record of a decision.

    Args:
        verdict: what it is about.
        ruling: what was decided; without a label, ``overturn`` turns the verdict's round.
        now: the present, with its zone.
        message: the message's text, if it is still there, to refuse its words in ``ruling``.

    Raises:
        UsageError: the parts do not fit each other.

    """
    _check(verdict, ruling)
    for name, said in (("--text", ruling.text), ("--reason", ruling.reason)):
        if said is not None and message is not None and is_copied(said, message):
            text = f"{name} holds the message's own words; this record is kept, so say it in other words"
            raise UsageError(text)
    made = Override(
        verdict_id=verdict.verdict_id,
        tenant_id=verdict.tenant_id,
        decision=ruling.decision,
        reviewer=ruling.reviewer,
        reason=ruling.reason,
        label=ruling.label or (_other(verdict.label) if ruling.decision == "overturn" else None),
        categories=ruling.categories,
        action=ruling.action,
        decided_at=now,
        source=verdict.source,
        text=UNSET if ruling.text is None else ruling.text,
    )
    try:
        return decode(encode(made), Override, RecordError)
    except RecordError as error:
        text = f"the decision is no record of overrides: {error}; see schemas/override.schema.json"
        raise UsageError(text) from None


def _check(verdict: Verdict, ruling: Ruling) -> None:
    changes = (ruling.label, ruling.categories, ruling.action)
    if ruling.decision == "uphold" and any(one is not None for one in changes):
        text = "uphold changes nothing; leave out --label, --category and --action, or take modify"
        raise UsageError(text)
    if ruling.decision == "modify" and all(one is None for one in changes):
        text = "modify needs --label, --category or --action; to change nothing take uphold"
        raise UsageError(text)
    if ruling.decision == "overturn" and verdict.label is None and ruling.label is None:
        text = f"the verdict has no label (status {verdict.status}); say with --label what it should be"
        raise UsageError(text)
    if ruling.decision == "overturn" and ruling.label is not None and ruling.label == verdict.label:
        text = f"the verdict is {verdict.label} already; overturn needs the other label, or take uphold or modify"
        raise UsageError(text)


def _other(label: Label | None) -> Label | None:
    return {"safe": "unsafe", "unsafe": "safe", None: None}[label]


def is_copied(text: str, message: str) -> bool:
    """Tell whether a text repeats a message: all of it, or more than ``_SHARED_WORDS`` words in a row."""
    ours, theirs = _words(text), _words(message)
    if ours == theirs:
        return bool(ours) or text.strip() == message.strip()
    size = _SHARED_WORDS + 1
    runs = {tuple(theirs[at : at + size]) for at in range(len(theirs) - size + 1)}
    return any(tuple(ours[at : at + size]) in runs for at in range(len(ours) - size + 1))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


class Cited(Struct, frozen=True, gc=False):
    """A category of a verdict."""

    scope: str
    id: str
    hit: bool


class Judged(Struct, frozen=True, kw_only=True):
    """The fields of a verdict that decisions are joined to."""

    verdict_id: str
    tenant_id: str
    role: Role
    label: Label | None
    categories: tuple[Cited, ...]
    policy: PolicyRef
    source: Source


class Precision(Struct, frozen=True, kw_only=True):
    """How many unsafe verdicts of a policy version people let stand; ``category`` is null for all of them."""

    scope: str
    version: int
    category: str | None
    reviewed: int
    upheld: int
    precision: Interval


class Proposal(Struct, frozen=True, kw_only=True):
    """A case for the golden cases of a policy: it points at the message, or holds a person's own text.

    ``source`` is where the message stands while ``messages`` keeps it; ``text`` is null until somebody
    writes one with ``rsafe audit override --text``.
    """

    scope: str
    tenant_id: str
    verdict_id: str
    label: Label
    categories: tuple[str, ...]
    role: Role
    source: Source
    text: str | None


class OverridesReport(Struct, frozen=True, kw_only=True):
    """What ``rsafe audit overrides --json`` prints.

    Attributes:
        decisions: how many there are of each; of several about one verdict the last one counts.
        revised: decisions that a later one about the same verdict replaced.
        joined: decisions whose verdict is still there.
        gone: decisions whose verdict is not (retention).
        unreadable: records of the topic that are no decisions.
        missed: safe verdicts that people found unsafe.
        precision: by policy version, and by category in it.
        proposals: overturned and relabelled cases.

    """

    decisions: dict[str, int]
    revised: int
    joined: int
    gone: int
    unreadable: int
    missed: int
    precision: tuple[Precision, ...]
    proposals: tuple[Proposal, ...]


def final_label(judged: Judged, override: Override) -> Label | None:
    """Return the label after a decision."""
    if override.decision == "overturn":
        return override.label or _other(judged.label)
    return override.label or judged.label


def summarize(
    pairs: Sequence[tuple[Override, Judged]], *, decisions: Iterable[Override], revised: int, unreadable: int
) -> OverridesReport:
    """Put together what decisions say.

    Args:
        pairs: each decision that counts, with its verdict.
        decisions: all that count, with a verdict or without.
        revised: how many others were replaced.
        unreadable: records that are no decisions.

    """
    counted = Counter(one.decision for one in decisions)
    return OverridesReport(
        decisions={"uphold": 0, "overturn": 0, "modify": 0} | dict(counted),
        revised=revised,
        joined=len(pairs),
        gone=counted.total() - len(pairs),
        unreadable=unreadable,
        missed=sum(one.label == "safe" and final_label(one, said) == "unsafe" for said, one in pairs),
        precision=tuple(_precision(pairs)),
        proposals=tuple(found for said, one in pairs if (found := _proposal(said, one))),
    )


_Group = tuple[str, int, str]


def _precision(pairs: Sequence[tuple[Override, Judged]]) -> Iterator[Precision]:
    reviewed: Counter[_Group] = Counter()
    upheld: Counter[_Group] = Counter()
    for said, judged in pairs:
        if judged.label != "unsafe":
            continue
        stands = final_label(judged, said) == "unsafe"
        for group in _groups(judged):
            reviewed[group] += 1
            upheld[group] += stands and (not group[2] or said.categories is None or group[2] in said.categories)
    for scope, version, category in sorted(reviewed):
        group = (scope, version, category)
        yield Precision(
            scope=scope,
            version=version,
            category=category or None,
            reviewed=reviewed[group],
            upheld=upheld[group],
            precision=interval(upheld[group], reviewed[group]),
        )


def _groups(judged: Judged) -> set[_Group]:
    """Return policy versions and categories that answer for an unsafe verdict: those of its hits, or all parts."""
    versions = {part.scope: part.version for part in judged.policy.parts}
    hits = [one for one in judged.categories if one.hit and one.scope in versions]
    scopes = {one.scope for one in hits} or versions.keys()
    return {(scope, versions[scope], "") for scope in scopes} | {
        (one.scope, versions[one.scope], one.id) for one in hits
    }


def _proposal(said: Override, judged: Judged) -> Proposal | None:
    label = final_label(judged, said)
    hits = tuple(one.id for one in judged.categories if one.hit)
    relabelled = label != judged.label or (said.categories is not None and set(said.categories) != set(hits))
    if label is None or not relabelled:
        return None
    scopes = [one.scope for one in judged.categories if one.hit] or [
        part.scope for part in reversed(judged.policy.parts)
    ]
    return Proposal(
        scope=scopes[0] if scopes else PLATFORM,
        tenant_id=judged.tenant_id,
        verdict_id=judged.verdict_id,
        label=label,
        categories=said.categories or () if label == "unsafe" else (),
        role=judged.role,
        source=judged.source,
        text=or_none(said.text),
    )
