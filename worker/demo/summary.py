"""What the demonstration has shown, in numbers. Pure; every number is counted from records in Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from worker.client import Place
from worker.demo.outcomes import Outcomes
from worker.demo.samples import CHANGING, STRICT, Sample, policy_name
from worker.records import Verdict

#: The engine that answers by rule.
SCRIPTED: Final = "scripted"


class Agreement(Struct, frozen=True, kw_only=True):
    """How often the model says what the samples' author expects; the small model often does not."""

    agree: int
    of: int


class Changed(Struct, frozen=True, kw_only=True):
    """One text under the policy before and after."""

    text: str
    before: Verdict
    after: Verdict


class PolicyChange(Struct, frozen=True, kw_only=True):
    """The effect of the policy change.

    Attributes:
        digest_before: digest of the effective policy of the first pass.
        digest_after: the same for the second pass; null if no verdict came under another one.
        in_force_s: from Kafka's acknowledgement of the policy to the worker's word that it judges by it, in seconds.
        first_verdict_s: from the same to the first verdict under it.
        compared: texts with a verdict under both.
        changed: those of them whose label or action differs.

    """

    digest_before: str | None
    digest_after: str | None
    in_force_s: float | None
    first_verdict_s: float | None
    compared: int
    changed: int


class ChangeTiming(Struct, frozen=True, kw_only=True):
    """Seconds since Kafka's acknowledgement of the changed policy; null for what never happened."""

    in_force_s: float | None
    first_verdict_s: float | None


class Summary(Struct, frozen=True, kw_only=True):
    """All numbers; ``lost`` are offsets of ``messages`` with neither verdict nor dead letter."""

    messages: int
    verdicts: int
    by_status: dict[str, int]
    by_label: dict[str, int]
    dead_letters: int
    lost: int
    doubled: int
    messages_per_s: float
    cached_share: float
    agreement: dict[str, Agreement]
    change: PolicyChange
    engine: str
    model: str | None


class Pass(Struct, frozen=True, kw_only=True):
    """One pass of messages: which sample stands where, and how long all outcomes took, in seconds."""

    samples: dict[Place, Sample]
    broken: int
    duration_s: float


def summarise(
    engine: str, inputs: set[Place], outcomes: Outcomes, passes: tuple[Pass, Pass], timing: ChangeTiming
) -> Summary:
    """Count everything.

    Args:
        engine: which engine judged.
        inputs: every place in ``messages``.
        outcomes: what came of them.
        passes: messages before and after the policy change.
        timing: the measured times of the policy change.

    """
    verdicts = list(outcomes.verdicts.values())
    prompt = sum(verdict.usage.prompt_tokens for verdict in verdicts)
    cached = sum(verdict.usage.cached_tokens for verdict in verdicts)
    sent = sum(len(one.samples) + one.broken for one in passes)
    return Summary(
        messages=len(inputs),
        verdicts=len(verdicts),
        by_status=dict(Counter(verdict.status for verdict in verdicts)),
        by_label=dict(Counter(verdict.label or "none" for verdict in verdicts)),
        dead_letters=len(outcomes.letters),
        lost=len(inputs - outcomes.places),
        doubled=outcomes.doubled,
        messages_per_s=sent / max(1e-9, sum(one.duration_s for one in passes)),
        cached_share=cached / prompt if prompt else 0.0,
        agreement=agreement(outcomes.verdicts, passes),
        change=_change(outcomes.verdicts, passes, timing),
        engine=engine,
        model=verdicts[0].model.name if verdicts else None,
    )


def agreement(verdicts: Mapping[Place, Verdict], passes: tuple[Pass, Pass]) -> dict[str, Agreement]:
    """Compare judged messages with what their author expects, by policy."""
    counts: dict[str, list[bool]] = {}
    old = digests(verdicts, passes[0].samples)
    for one in passes:
        for place, sample in one.samples.items():
            verdict = verdicts.get(place)
            if verdict is None or verdict.label is None:
                continue
            changed = sample.message.tenant_id == CHANGING and verdict.policy.digest not in old
            name = STRICT if changed else policy_name(sample.message.tenant_id)
            if name in sample.expect:
                counts.setdefault(name, []).append(sample.expect[name] == verdict.label)
    return {name: Agreement(agree=sum(hits), of=len(hits)) for name, hits in sorted(counts.items())}


def digests(verdicts: Mapping[Place, Verdict], samples: Mapping[Place, Sample]) -> set[str | None]:
    """Return the policy digests that the changing tenant's messages were judged under."""
    return {
        verdicts[place].policy.digest
        for place, sample in samples.items()
        if place in verdicts and sample.message.tenant_id == CHANGING
    }


def changes(verdicts: Mapping[Place, Verdict], passes: tuple[Pass, Pass]) -> list[Changed]:
    """Return every text that was judged under both policies, in the order of the second pass."""
    before = {sample.message.text: verdicts.get(place) for place, sample in _changing(passes[0])}
    old = digests(verdicts, passes[0].samples)
    pairs = []
    for place, sample in _changing(passes[1]):
        first, second = before.get(sample.message.text), verdicts.get(place)
        if first is not None and second is not None and second.policy.digest not in old:
            pairs.append(Changed(text=sample.message.text, before=first, after=second))
    return pairs


def _changing(one: Pass) -> Iterable[tuple[Place, Sample]]:
    return ((place, sample) for place, sample in one.samples.items() if sample.message.tenant_id == CHANGING)


def differs(pair: Changed) -> bool:
    """Tell whether label or action of a text differ between the two policies."""
    return (pair.before.label, pair.before.action) != (pair.after.label, pair.after.action)


def _change(verdicts: Mapping[Place, Verdict], passes: tuple[Pass, Pass], timing: ChangeTiming) -> PolicyChange:
    pairs = changes(verdicts, passes)
    before = sorted(digest for digest in digests(verdicts, passes[0].samples) if digest)
    return PolicyChange(
        digest_before=before[0] if before else None,
        digest_after=pairs[-1].after.policy.digest if pairs else None,
        in_force_s=timing.in_force_s,
        first_verdict_s=timing.first_verdict_s,
        compared=len(pairs),
        changed=sum(differs(pair) for pair in pairs),
    )


def problem(summary: Summary) -> str | None:
    """Return in one line why the demonstration failed, or None. Rules instead of a model change no verdict."""
    if summary.lost:
        return f"{summary.lost} of {summary.messages} messages have no outcome"
    if summary.change.compared == 0:
        return "no verdict came under the changed policy"
    if summary.engine != SCRIPTED and summary.change.changed == 0:
        return f"none of {summary.change.compared} verdicts changed with the policy"
    return None
