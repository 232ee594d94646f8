"""Golden cases, judged by a judge that the test writes itself."""

from __future__ import annotations

from tests.support.policies import accepted, category, policy
from worker.policy.combine import combine
from worker.policy.golden import Answer, run_golden
from worker.policy.model import EffectivePolicy
from worker.records import GoldenCase, Message, Turn


async def by_word(message: Message, under: EffectivePolicy) -> Answer:
    """Find a text unsafe under each category whose id stands in it; 'slow' ends in a timeout."""
    if "slow" in message.text:
        return Answer(status="timeout", label=None, hits=())
    hits = tuple(one.id for one in under.judging.categories if one.id in message.text)
    return Answer(status="judged", label="unsafe" if hits else "safe", hits=hits)


CASES = (
    GoldenCase(text="only A here", label="unsafe", categories=("A",)),
    GoldenCase(text="A and B", label="unsafe", categories=("B",)),
    GoldenCase(text="nothing", label="safe"),
    GoldenCase(text="A again", label="safe"),
    GoldenCase(text="A once more", label="unsafe", categories=("B",)),
    GoldenCase(text="slow", label="safe"),
)


async def test_a_case_passes_if_its_label_and_every_named_category_are_right() -> None:
    """More hits than named are fine; a case that was not judged never passes."""
    record = policy(category("A", "Alpha"), category("B", "Beta"), golden=CASES)
    effective = combine(None, accepted("acme", record), None)
    assert effective is not None
    report = await run_golden(record, effective, by_word)
    assert [result.passed for result in report.results] == [True, True, True, False, False, False]
    assert (report.passed, report.share, report.ok) == (3, 0.5, False)


async def test_the_policy_sets_its_own_bar() -> None:
    """``min_pass`` is the share that has to pass; all of them where nothing is said."""
    for bar, ok in ((0.5, True), (0.6, False)):
        record = policy(category("A", "Alpha"), category("B", "Beta"), golden=CASES, min_pass=bar)
        effective = combine(None, accepted("acme", record), None)
        assert effective is not None
        assert (await run_golden(record, effective, by_word)).ok is ok


async def test_a_case_reaches_the_judge_with_role_and_context() -> None:
    """The whole case is judged, not its text alone."""
    seen: list[Message] = []

    async def listen(message: Message, _: EffectivePolicy) -> Answer:
        seen.append(message)
        return Answer(status="judged", label="safe", hits=())

    case = GoldenCase(text="answer", label="safe", role="agent", context=(Turn(role="user", text="question"),))
    record = policy(category("A", "Alpha"), golden=(case,))
    effective = combine(None, accepted("acme", record), None)
    assert effective is not None
    await run_golden(record, effective, listen)
    assert [(one.role, one.text, one.context) for one in seen] == [("agent", "answer", case.context)]
