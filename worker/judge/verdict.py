"""From a judgement to the verdict that the policy draws from it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from worker.digests import PLAIN, Digests
from worker.exceptions.accept import Accepted
from worker.exceptions.cover import suppress
from worker.judge.judgement import Finding, Judgement
from worker.policy.model import NO_POLICY, EffectiveCategory, EffectivePolicy
from worker.records import (
    ACTIONS,
    Action,
    CategoryVerdict,
    Label,
    Message,
    Mode,
    ModelRef,
    Source,
    Status,
    Timing,
    Trace,
    TraceLevel,
    Verdict,
    or_none,
    stricter,
    verdict_id,
)
from worker.suppression import Suppression

#: What happens to a message that nobody could judge and no policy speaks about.
FALLBACK_ACTION: Final[Action] = "review"


class Decision(Struct, frozen=True, kw_only=True):
    """Label, categories and action that follow from a judgement under a policy.

    ``suppressions`` say what exceptions took back; ``unsuppressed`` is the action without them.
    """

    status: Status
    label: Label | None
    categories: tuple[CategoryVerdict, ...]
    action: Action
    suppressions: tuple[Suppression, ...] = ()
    unsuppressed: Action | None = None


def _findings(judgement: Judgement, policy: EffectivePolicy) -> tuple[Finding, ...]:
    """Return what was found, call by call; a judge that does not say so made one call."""
    if judgement.findings or judgement.status != "judged" or judgement.score is None:
        return judgement.findings
    known = {(category.scope, category.id) for category in policy.judging.categories}
    named = any(pair in known for pair in judgement.cited)
    unnamed = not named and judgement.score >= policy.lowest_threshold
    return (Finding(score=judgement.score, cited=judgement.cited, unnamed=unnamed),)


def _categories(findings: tuple[Finding, ...], policy: EffectivePolicy) -> list[tuple[EffectiveCategory, bool]]:
    """Return the cited categories in the policy's order, each with whether it is hit."""
    scores: dict[tuple[str, str], float] = {}
    for finding in findings:
        scores |= {pair: max(finding.score, scores.get(pair, 0.0)) for pair in finding.cited}
    return [
        (item, scores[item.scope, item.id] >= item.threshold)
        for item in policy.judging.categories
        if (item.scope, item.id) in scores
    ]


def _in_band(findings: Iterable[Finding], policy: EffectivePolicy) -> bool:
    """Tell whether any call's score is in the band: a high one of another call must not hide it."""
    band = policy.judging.review_band
    return band is not None and any(band[0] <= finding.score <= band[1] for finding in findings)


def _status(judgement: Judgement) -> Status:
    """Return the status; without a score that can be compared nothing was judged."""
    scoreless = judgement.score is None or math.isnan(judgement.score)
    return "unparseable" if judgement.status == "judged" and scoreless else judgement.status


def decide(judgement: Judgement, policy: EffectivePolicy, permits: Sequence[Accepted] = ()) -> Decision:
    """Apply thresholds, actions and exceptions.

    A category is hit if it is cited and the score of its call reaches its threshold. The label is
    ``unsafe`` if one is hit, or if a call's score reaches its lowest threshold and no category could
    be had; then ``default_action`` applies too. Where any call's score is inside the review band the
    action is at least ``review``. Where one of several calls failed its status stands, there is no
    label, and the strictest action wins: that for the failure, or that of what the other calls found.

    Exceptions change the action alone, and never that for a failure.
    """
    status = _status(judgement)
    judged = status == "judged"
    findings = _findings(judgement, policy) if judged or judgement.findings else ()
    categories = _categories(findings, policy)
    hits = [item for item, is_hit in categories if is_hit]
    unnamed = any(finding.unnamed for finding in findings)
    base: Action = "allow" if judged else policy.on_failure(status)
    rest = _rest(policy, unnamed=unnamed, in_band=_in_band(findings, policy))
    action = _strictest(base, hits, rest)
    suppressions = suppress(hits, policy, permits, rest=rest != "allow") if permits else ()
    taken = {pair for one in suppressions for pair in one.categories}
    left = [item for item in hits if f"{item.scope}:{item.id}" not in taken]
    whole = any(one.whole for one in suppressions)
    return Decision(
        status=status,
        label=("unsafe" if unnamed or hits else "safe") if judged else None,
        categories=tuple(
            CategoryVerdict(scope=item.scope, id=item.id, severity=item.severity, hit=is_hit)
            for item, is_hit in categories
        ),
        action=_strictest(base, left, "allow" if whole else rest),
        suppressions=suppressions,
        unsuppressed=action if suppressions else None,
    )


def _rest(policy: EffectivePolicy, *, unnamed: bool, in_band: bool) -> Action:
    """Return what is asked for beside the hits."""
    asked: Action = policy.judging.default_action if unnamed else "allow"
    return stricter(asked, "review") if in_band else asked


def _strictest(base: Action, hits: Iterable[EffectiveCategory], rest: Action) -> Action:
    return max((base, rest, *(item.action for item in hits)), key=ACTIONS.index)


#: What a digest is of; a key gives each purpose digests of its own.
PROMPT: Final = "prompt"
REASONING: Final = "reasoning"


class Attempt(Struct, frozen=True, kw_only=True):
    """Everything about one attempt that stands in the verdict beside the judgement itself, and how digests are made.

    ``permits`` are the exceptions that the message falls under at its own time.
    """

    message: Message
    source: Source
    mode: Mode
    run_id: str | None
    trace_id: str
    model: ModelRef
    timing: Timing
    permits: tuple[Accepted, ...] = ()
    digests: Digests = PLAIN


def verdict(attempt: Attempt, judgement: Judgement, policy: EffectivePolicy | None) -> tuple[Verdict, Trace | None]:
    """Build the verdict and its trace (none where the policy wants no trace)."""
    if policy is None:
        decision = Decision(status=judgement.status, label=None, categories=(), action=FALLBACK_ACTION)
        level: TraceLevel = "full"
    else:
        decision = decide(judgement, policy, attempt.permits)
        level = policy.judging.trace
    message, digests, prompt_digest = attempt.message, attempt.digests, judgement.prompt_digest
    record = Verdict(
        verdict_id=verdict_id(attempt.source, attempt.mode, attempt.run_id),
        tenant_id=message.tenant_id,
        message_id=message.message_id,
        revision=or_none(message.revision),
        role=message.role,
        channel_id=or_none(message.channel_id),
        conversation_id=or_none(message.conversation_id),
        language=or_none(message.language),
        mode=attempt.mode,
        run_id=attempt.run_id,
        status=decision.status,
        label=decision.label,
        model_label=judgement.model_label,
        score=judgement.score,
        score_method=judgement.score_method,
        categories=decision.categories,
        clauses=judgement.clauses,
        unevaluated=judgement.unevaluated,
        action=decision.action,
        trace_id=None if level == "none" else attempt.trace_id,
        policy=policy.ref if policy else NO_POLICY,
        model=attempt.model,
        prompt_digest=None if prompt_digest is None else digests.of_digest(PROMPT, prompt_digest),
        source=attempt.source,
        timing=attempt.timing,
        usage=judgement.usage,
        cache=None,
        spans=judgement.spans or UNSET,
        degraded=(policy.rung if policy else None) or UNSET,
        final=message.final,
        suppressed_by=suppressed_by(decision),
        suppressions=decision.suppressions or UNSET,
        digest_method=UNSET if prompt_digest is None else digests.method,
    )
    return record, _trace(record, judgement, level, digests)


def suppressed_by(decision: Decision) -> str | UnsetType:
    """Return the first of the exceptions that made the action milder; nothing where none did."""
    changed = decision.unsuppressed not in {None, decision.action}
    return decision.suppressions[0].exception if changed else UNSET


def _trace(record: Verdict, judgement: Judgement, level: TraceLevel, digests: Digests) -> Trace | None:
    if record.trace_id is None:
        return None
    full = level == "full"
    reasoning = judgement.reasoning
    return Trace(
        trace_id=record.trace_id,
        verdict_id=record.verdict_id,
        tenant_id=record.tenant_id,
        reasoning=reasoning if full else None,
        raw=judgement.raw if full else None,
        reasoning_digest=None if reasoning is None else digests.of_text(REASONING, reasoning),
        truncated=judgement.truncated,
        level=level,
        digest_method=UNSET if reasoning is None else digests.method,
    )
