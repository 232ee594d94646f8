"""From judgement to verdict: thresholds, actions, the review band, failures, and what a trace keeps."""

from __future__ import annotations

import math
from typing import Any, Final

import pytest
from msgspec import UNSET, structs

from tests.support import planted
from worker.judge.judgement import NO_USAGE, Finding, Judgement
from worker.judge.verdict import FALLBACK_ACTION, Attempt, Decision, decide, verdict
from worker.policy.model import NO_POLICY, EffectiveCategory, EffectivePolicy, Judging
from worker.records import (
    ACTIONS,
    CategoryVerdict,
    Message,
    ModelRef,
    PolicyPart,
    Source,
    Span,
    Status,
    Timing,
    TraceLevel,
    Usage,
    encode,
    sha256_hex,
    verdict_id,
)

THREAT: Final = EffectiveCategory(
    scope="platform", id="threat", name="Threats", severity="critical", threshold=0.4, action="block"
)
HATE: Final = EffectiveCategory(scope="shop", id="hate", name="Hate", severity="high", threshold=0.6, action="hold")
SPAM: Final = EffectiveCategory(scope="shop", id="spam", name="Spam", severity="low", threshold=0.8, action="label")
#: The tenant's own category of the same name as the floor's: the scope tells them apart.
TWIN: Final = EffectiveCategory(scope="shop", id="threat", name="Threats to the shop", action="label")
EMPTY: Final = EffectivePolicy(judging=Judging(categories=()), parts=())
PARTS: Final = (PolicyPart(scope="shop", version=7, digest="ab" * 32, offset=4),)
FAILURES: Final[tuple[Status, ...]] = (
    "unparseable",
    "truncated",
    "contradictory",
    "timeout",
    "overloaded",
    "too_long",
    "language_unsupported",
    "policy_missing",
    "policy_invalid",
    "engine_error",
)


def policy(*categories: EffectiveCategory, **judging: Any) -> EffectivePolicy:
    """Make an effective policy; all three categories by default."""
    return EffectivePolicy(judging=Judging(categories=categories or (THREAT, HATE, SPAM), **judging), parts=PARTS)


def judged(score: float | None, *cited: tuple[str, str], **fields: Any) -> Judgement:
    """Make a judgement that came out."""
    return Judgement(status="judged", score=score, cited=cited, **fields)


def hit(category: EffectiveCategory, *, was: bool = True) -> CategoryVerdict:
    """What a verdict says of a cited category."""
    return CategoryVerdict(scope=category.scope, id=category.id, severity=category.severity, hit=was)


T_THREAT: Final = ("platform", "threat")
T_HATE: Final = ("shop", "hate")
T_SPAM: Final = ("shop", "spam")

RULES: Final[dict[str, tuple[Judgement, EffectivePolicy, tuple[Any, ...]]]] = {
    "nothing cited, low score": (judged(0.1), policy(), ("safe", "allow", ())),
    "nothing cited, just below the lowest threshold": (judged(0.399), policy(), ("safe", "allow", ())),
    "cited and above": (judged(0.7, T_HATE), policy(), ("unsafe", "hold", (hit(HATE),))),
    "cited and exactly at the threshold": (judged(0.6, T_HATE), policy(), ("unsafe", "hold", (hit(HATE),))),
    "cited and below its own threshold": (judged(0.59, T_HATE), policy(), ("safe", "allow", (hit(HATE, was=False),))),
    "one cited is hit, the other is not": (
        judged(0.7, T_HATE, T_SPAM),
        policy(),
        ("unsafe", "hold", (hit(HATE), hit(SPAM, was=False))),
    ),
    "the strictest action of the hits": (
        judged(0.9, T_SPAM, T_HATE, T_THREAT),
        policy(),
        ("unsafe", "block", (hit(THREAT), hit(HATE), hit(SPAM))),
    ),
    "a category that is not hit gives no action": (
        judged(0.5, T_THREAT, T_HATE),
        policy(structs.replace(THREAT, action="label"), HATE),
        ("unsafe", "label", (hit(THREAT), hit(HATE, was=False))),
    ),
    "a hit whose action is allow": (
        judged(0.9, T_SPAM),
        policy(structs.replace(SPAM, action="allow")),
        ("unsafe", "allow", (hit(SPAM),)),
    ),
    "equal ids in two scopes": (judged(0.9, T_THREAT), policy(THREAT, TWIN), ("unsafe", "block", (hit(THREAT),))),
    "unsafe without a category: default action": (judged(0.95), policy(), ("unsafe", "review", ())),
    "nameless exactly at the lowest threshold": (judged(0.4), policy(), ("unsafe", "review", ())),
    "nameless with a stricter default action": (judged(0.4), policy(default_action="hold"), ("unsafe", "hold", ())),
    "cited what does not exist counts as nameless": (
        judged(0.9, ("shop", "gone")),
        policy(default_action="block"),
        ("unsafe", "block", ()),
    ),
    "no categories at all: below the default threshold": (judged(0.49), EMPTY, ("safe", "allow", ())),
    "no categories at all: at the default threshold": (judged(0.5), EMPTY, ("unsafe", "review", ())),
    "in the band and safe: raised to review": (judged(0.35), policy(review_band=(0.3, 0.5)), ("safe", "review", ())),
    "at the band's lower end": (judged(0.3), policy(review_band=(0.3, 0.5)), ("safe", "review", ())),
    "below the band": (judged(0.29), policy(review_band=(0.3, 0.5)), ("safe", "allow", ())),
    "in the band with a milder hit: raised": (
        judged(0.85, T_SPAM),
        policy(review_band=(0.8, 0.9)),
        ("unsafe", "review", (hit(SPAM),)),
    ),
    "in the band with a stricter hit: not lowered": (
        judged(0.65, T_HATE),
        policy(review_band=(0.6, 0.7)),
        ("unsafe", "hold", (hit(HATE),)),
    ),
    "at the band's upper end": (
        judged(0.9, T_SPAM),
        policy(review_band=(0.8, 0.9)),
        ("unsafe", "review", (hit(SPAM),)),
    ),
    "above the band": (judged(0.91, T_SPAM), policy(review_band=(0.8, 0.9)), ("unsafe", "label", (hit(SPAM),))),
}


@pytest.mark.parametrize("rule", RULES)
def test_rules(rule: str) -> None:
    """Label, action and categories follow from score, citations and policy as the rule says."""
    judgement, effective, (label, action, categories) = RULES[rule]

    found = decide(judgement, effective)

    assert found == Decision(status="judged", label=label, categories=categories, action=action)


@pytest.mark.parametrize("status", FAILURES)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_failure_gets_what_the_policy_says(status: Status, action: Any) -> None:
    """What was not judged has no label and no categories, whatever the model said, and the policy's action."""
    judgement = Judgement(status=status, model_label="safe", score=0.9, cited=(T_HATE,))

    found = decide(judgement, policy(on_failure={status: action}))

    assert found == Decision(status=status, label=None, categories=(), action=action)


@pytest.mark.parametrize("status", FAILURES)
def test_a_failure_that_the_policy_is_silent_about_is_reviewed(status: Status) -> None:
    """Without a word in the policy the action is review, also where other failures are allowed."""
    other: Status = "timeout" if status != "timeout" else "too_long"

    assert decide(Judgement(status=status), policy(on_failure={other: "allow"})).action == "review"


def test_no_call_hides_that_another_was_in_the_band() -> None:
    """The band asks of every call: a higher score beside it, or a failed call, takes no review away."""
    unsure, high = Finding(score=0.35), Finding(score=0.95, cited=(T_SPAM,))
    mild = policy(structs.replace(SPAM, action="allow"), review_band=(0.3, 0.5), on_failure={"timeout": "allow"})

    assert decide(judged(0.95, T_SPAM, findings=(unsure, high)), mild).action == "review"
    assert decide(judged(0.95, T_SPAM, findings=(high,)), mild).action == "allow"
    assert decide(Judgement(status="timeout", findings=(unsure,)), mild).action == "review"
    assert decide(Judgement(status="timeout", findings=(high,)), mild).action == "allow"


@pytest.mark.parametrize("score", [None, math.nan], ids=["no score", "not a number"])
def test_without_a_score_nothing_is_safe(score: float | None) -> None:
    """A judgement that claims to be one and has no score to compare is ``unparseable``; it would pass as safe."""
    found = decide(judged(score, T_HATE), policy(on_failure={"unparseable": "hold"}))

    assert found == Decision(status="unparseable", label=None, categories=(), action="hold")


MESSAGE: Final = Message(
    tenant_id="shop",
    message_id="m-1",
    text="hello",
    channel_id="front",
    conversation_id="c-1",
    language="en",
    revision=2,
)
SOURCE: Final = Source(topic="moderation.messages", partition=3, offset=41, timestamp=1_772_388_245_250)
ATTEMPT: Final = Attempt(
    message=MESSAGE,
    source=SOURCE,
    mode="live",
    run_id=None,
    trace_id="t-1",
    model=ModelRef(fingerprint="f", name="n"),
    timing=Timing(queue_ms=1.0, engine_ms=2.0, total_ms=4.0),
)
JUDGEMENT: Final = judged(
    0.7,
    T_HATE,
    model_label="unsafe",
    score_method="trace",
    clauses=("hate/v1",),
    spans=(Span(start=0, end=5),),
    reasoning="Because.",
    raw="Because. unsafe hate",
    prompt_digest="cd" * 32,
    usage=Usage(prompt_tokens=5, cached_tokens=4, reasoning_tokens=3, output_tokens=4),
)


def test_a_verdict_carries_all_that_explains_it() -> None:
    """Message, source, model, policy, prompt, tokens and times stand in the verdict as they came in."""
    effective = policy()

    record, trace = verdict(ATTEMPT, JUDGEMENT, effective)

    assert record.verdict_id == verdict_id(SOURCE, "live", None)
    assert (record.tenant_id, record.message_id, record.language) == ("shop", "m-1", "en")
    assert (record.channel_id, record.conversation_id) == ("front", "c-1")
    assert (record.revision, record.role, record.mode, record.run_id) == (2, "user", "live", None)
    assert (record.status, record.label, record.model_label) == ("judged", "unsafe", "unsafe")
    assert (record.score, record.score_method, record.action) == (0.7, "trace", "hold")
    assert (record.clauses, record.spans, record.unevaluated) == (("hate/v1",), (Span(start=0, end=5),), ())
    assert (record.policy.digest, record.policy.parts) == (effective.digest, PARTS)
    assert (record.model, record.source, record.timing) == (ATTEMPT.model, SOURCE, ATTEMPT.timing)
    assert (record.usage, record.prompt_digest, record.cache) == (JUDGEMENT.usage, "cd" * 32, None)
    assert trace is not None
    assert record.trace_id == trace.trace_id == "t-1"


def test_what_a_message_leaves_out_is_null() -> None:
    """A message of three fields gives a verdict in which every other field of a message is null or left out."""
    attempt = structs.replace(ATTEMPT, message=Message(tenant_id="shop", message_id="m-1", text=""))

    record, _ = verdict(attempt, Judgement(status="timeout"), policy())

    assert (record.revision, record.channel_id, record.conversation_id, record.language) == (None, None, None, None)
    assert record.prompt_digest is None
    assert (record.spans, record.final, record.supersedes) == (UNSET, UNSET, UNSET)
    assert record.usage == NO_USAGE


@pytest.mark.parametrize("final", [True, False])
def test_a_growing_answer_says_so(final: bool) -> None:  # noqa: FBT001  (a parameter of the test)
    """``final`` comes through from the message."""
    attempt = structs.replace(ATTEMPT, message=structs.replace(MESSAGE, final=final))

    assert verdict(attempt, JUDGEMENT, policy())[0].final is final


@pytest.mark.parametrize("label", ["safe", "unsafe"])
def test_the_forced_word_of_a_cut_reasoning_is_no_label(label: Any) -> None:
    """Endless reasoning gets the action for failures; the model's forced word is kept beside it only."""
    judgement = Judgement(status="truncated", model_label=label, score=0.01, truncated=True)

    record, trace = verdict(ATTEMPT, judgement, policy(on_failure={"truncated": "hold"}))

    assert (record.status, record.label, record.model_label, record.action) == ("truncated", None, label, "hold")
    assert trace is not None
    assert trace.truncated


def test_without_any_policy_nothing_is_safe() -> None:
    """No policy at all: status ``policy_missing``, no label, action review, and a reference to nothing."""
    record, trace = verdict(ATTEMPT, Judgement(status="policy_missing"), None)

    assert (record.status, record.label, record.action) == ("policy_missing", None, FALLBACK_ACTION)
    assert FALLBACK_ACTION == "review"
    assert record.policy == NO_POLICY
    assert trace is not None


@pytest.mark.parametrize(
    "level, reasoning, raw",
    [("full", JUDGEMENT.reasoning, JUDGEMENT.raw), ("redacted", None, None)],
    ids=["full", "redacted"],
)
def test_what_a_trace_keeps(level: Any, reasoning: str | None, raw: str | None) -> None:
    """A full trace keeps the prose, a redacted one its digest only; both name their verdict."""
    record, trace = verdict(ATTEMPT, JUDGEMENT, policy(trace=level))

    assert trace is not None
    assert (trace.verdict_id, trace.tenant_id, trace.level) == (record.verdict_id, "shop", level)
    assert (trace.reasoning, trace.raw) == (reasoning, raw)
    assert trace.reasoning_digest == sha256_hex(b"Because.")


def test_a_policy_may_want_no_trace() -> None:
    """Level none leaves no record and no id in the verdict, and changes nothing else."""
    record, trace = verdict(ATTEMPT, JUDGEMENT, policy(trace="none"))

    assert (trace, record.trace_id) == (None, None)
    assert (record.label, record.action) == ("unsafe", "hold")


def test_no_reasoning_has_no_digest() -> None:
    """Where the model did not reason the digest is null and not the digest of an empty text."""
    _, trace = verdict(ATTEMPT, judged(0.1), policy())

    assert trace is not None
    assert (trace.reasoning, trace.reasoning_digest) == (None, None)


@pytest.mark.parametrize("mode, run_id", [("live", None), ("shadow", "ab12"), ("replay", "audit-1")])
def test_mode_and_run_are_part_of_the_id(mode: Any, run_id: str | None) -> None:
    """The same message judged in another mode or run is another outcome."""
    record, _ = verdict(structs.replace(ATTEMPT, mode=mode, run_id=run_id), JUDGEMENT, policy())

    assert (record.mode, record.run_id) == (mode, run_id)
    assert record.verdict_id == verdict_id(SOURCE, mode, run_id)


def test_the_id_does_not_depend_on_policy_or_model() -> None:
    """Every attempt at a message has the same id, under any policy, by any model."""
    other = structs.replace(ATTEMPT, trace_id="t-2", model=ModelRef(fingerprint=None, name=None))

    first, _ = verdict(ATTEMPT, JUDGEMENT, policy())
    second, _ = verdict(other, Judgement(status="timeout"), None)

    assert first.verdict_id == second.verdict_id


#: Made up, each in the form of its kind; the last ones only look like personal data.
SAID: Final = (
    *planted.PERSONAL,
    "+49 (30) 901820",
    "4000004711047117",
    "192.0.2.47",
    "2001:db8::4711",
    "@zaphira_q",
    "2026-11-21",
    "19.99 EUR",
    "10:30",
    "order 48213",
)


@pytest.mark.parametrize("level", ["redacted", "none"])
@pytest.mark.parametrize("said", SAID)
def test_nothing_that_was_said_is_in_a_record_without_prose(level: TraceLevel, said: str) -> None:
    """Nothing is looked for and cut out: no prose is written at all, so that no kind of data can be forgotten."""
    quoted = f'They write "{said}", so it is unsafe.'
    judgement = judged(0.9, T_HATE, reasoning=quoted, raw=f"{quoted} unsafe", model_label="unsafe")
    message = Message(tenant_id="shop", message_id="m1", text=said, author_id=said)

    record, trace = verdict(structs.replace(ATTEMPT, message=message), judgement, policy(trace=level))

    assert (trace is None) == (level == "none")
    assert said not in (encode(record) + (encode(trace) if trace else b"")).decode()
    if trace is not None:
        assert trace.reasoning_digest == sha256_hex(quoted.encode())
