"""Several panels, one judgement."""

from __future__ import annotations

from typing import Any

from tests.support.judging import floor_and_own
from worker.judge.judgement import Finding, Judgement
from worker.judge.merge import merge
from worker.judge.verdict import decide


def judged(score: float, *cited: tuple[str, str], **fields: Any) -> Judgement:
    """Build one panel's judgement."""
    return Judgement(
        status="judged",
        model_label="unsafe" if cited else "safe",
        score=score,
        score_method=fields.pop("score_method", "trace"),
        cited=cited,
        findings=(Finding(score=score, cited=cited),),
        **fields,
    )


FLOOR = ("platform", "U7")
OWN = ("shop", "SPAM")


def test_one_panel_is_itself() -> None:
    """Nothing is made of a single judgement."""
    one = judged(0.2)

    assert merge([one]) is one


def test_the_highest_score_counts() -> None:
    """Score and its method are those of the surest call; citations, clauses and texts are joined in order."""
    found = merge(
        [
            judged(0.2, reasoning="a", raw="A", clauses=("U7/x",)),
            judged(0.9, OWN, reasoning="b", raw="B", clauses=("U7/x", "SPAM/y"), score_method="direct"),
        ]
    )

    assert (found.status, found.model_label, found.score, found.score_method) == ("judged", "unsafe", 0.9, "direct")
    assert (found.cited, found.clauses) == ((OWN,), ("U7/x", "SPAM/y"))
    assert (found.reasoning, found.raw) == ("a\n\nb", "A\n\nB")


def test_scores_of_different_calls_do_not_mix() -> None:
    """A category that its own call found unlikely is not hit because another call was sure of something else."""
    policy = floor_and_own()

    found = decide(merge([judged(0.3, FLOOR), judged(0.9, OWN)]), policy)

    assert [(item.id, item.hit) for item in found.categories] == [("U7", False), ("SPAM", True)]


def test_one_failure_stands() -> None:
    """The first failure gives the status, and what the other call found is kept beside it."""
    found = merge([Judgement(status="timeout"), judged(0.9, OWN)])

    assert (found.status, found.cited) == ("timeout", (OWN,))
    assert merge([judged(0.1), Judgement(status="truncated", truncated=True, model_label="unsafe")]).truncated
    assert merge([Judgement(status="too_long"), Judgement(status="timeout")]).status == "too_long"


def test_the_strictest_action_wins_over_a_failure() -> None:
    """A hit on the floor blocks, also where the tenant's own call failed and its failure asks for less."""
    policy = floor_and_own(on_failure={"truncated": "label"}, default_action="hold")
    strict = merge([judged(0.9, FLOOR), Judgement(status="truncated", truncated=True)])
    mild = merge([judged(0.1), Judgement(status="truncated", truncated=True)])

    assert (decide(strict, policy).label, decide(strict, policy).action) == (None, "review")
    assert [(item.id, item.hit) for item in decide(strict, policy).categories] == [("U7", True)]
    assert decide(mild, policy).action == "label"


def test_a_call_without_a_name_brings_the_default_action() -> None:
    """Prose alone can be violated without a category; beside a hit the stricter action counts."""
    policy = floor_and_own(default_action="block")
    nameless = Judgement(status="judged", score=0.9, findings=(Finding(score=0.9, unnamed=True),))

    found = decide(merge([judged(0.6, FLOOR), nameless]), policy)

    assert (found.label, found.action) == ("unsafe", "block")
