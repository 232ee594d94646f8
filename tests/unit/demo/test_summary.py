"""The numbers that the demonstration ends with."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.verdicts import some_verdict
from worker.client import Place
from worker.config import Settings
from worker.demo import summary
from worker.demo.outcomes import Outcomes
from worker.demo.samples import CHANGING, STRICT, Sample
from worker.records import Label, Message, PolicyRef, Usage, Verdict

_TIMING = summary.ChangeTiming(in_force_s=0.2, first_verdict_s=0.9)


def _sample(text: str, **expect: Label) -> Sample:
    names = {"before": CHANGING, "after": STRICT}
    message = Message(tenant_id=CHANGING, message_id=text, text=text)
    return Sample(message=message, expect={names[key]: label for key, label in expect.items()})


def _verdict(label: Label | None, digest: str) -> Verdict:
    return msgspec.structs.replace(
        some_verdict(),
        tenant_id=CHANGING,
        status="judged" if label else "truncated",
        label=label,
        action="hold" if label == "unsafe" else "allow",
        policy=PolicyRef(digest=digest, parts=()),
        usage=Usage(prompt_tokens=100, cached_tokens=25, reasoning_tokens=0, output_tokens=1),
    )


def _passes(*texts: str) -> tuple[summary.Pass, summary.Pass]:
    samples = [_sample(text, before="safe", after="unsafe") for text in texts]
    first, second = ({(number, i): sample for i, sample in enumerate(samples)} for number in (0, 1))
    return (
        summary.Pass(samples=first, broken=1, duration_s=2.0),
        summary.Pass(samples=second, broken=0, duration_s=3.0),
    )


def _summary(verdicts: dict[Place, Verdict], inputs: set[Place], engine: str = "vllm") -> summary.Summary:
    outcomes = Outcomes(Settings())
    outcomes.verdicts.update(verdicts)
    return summary.summarise(engine, inputs, outcomes, _passes("a", "b"), _TIMING)


_JUDGED: dict[Place, Verdict] = {
    (0, 0): _verdict("safe", "old"),
    (0, 1): _verdict("safe", "old"),
    (1, 0): _verdict("unsafe", "new"),
    (1, 1): _verdict("safe", "new"),
}


def test_verdicts_are_compared_by_text_across_the_change() -> None:
    """Of two texts judged under both policies, one got another verdict."""
    change = _summary(_JUDGED, set(_JUDGED)).change
    assert (change.compared, change.changed) == (2, 1)
    assert (change.digest_before, change.digest_after) == ("old", "new")
    assert (change.in_force_s, change.first_verdict_s) == (0.2, 0.9)


def test_a_verdict_still_under_the_old_policy_is_not_compared() -> None:
    """A message that was in the engine when the policy changed says nothing about the change."""
    late = _JUDGED | {(1, 0): _verdict("unsafe", "old")}
    change = _summary(late, set(late)).change
    assert (change.compared, change.changed) == (1, 0)


def test_agreement_is_counted_by_the_policy_that_judged() -> None:
    """What was not judged is no disagreement, and the strict policy has its own expectations."""
    verdicts = _JUDGED | {(0, 1): _verdict(None, "old")}
    found = _summary(verdicts, set(verdicts)).agreement
    assert found == {CHANGING: summary.Agreement(agree=1, of=1), STRICT: summary.Agreement(agree=1, of=2)}


def test_counts_shares_and_speed() -> None:
    """Messages, labels, the share of cached prompt tokens, and five sent messages in five seconds."""
    found = _summary(_JUDGED, set(_JUDGED))
    assert (found.messages, found.verdicts, found.lost, found.doubled) == (4, 4, 0, 0)
    assert found.by_label == {"safe": 3, "unsafe": 1}
    assert found.cached_share == 0.25
    assert found.messages_per_s == pytest.approx(1.0)
    assert summary.problem(found) is None


def test_a_place_without_an_outcome_is_lost() -> None:
    """Loss is told by offsets and not by counts."""
    found = _summary(_JUDGED, {*_JUDGED, (7, 7)})
    assert found.lost == 1
    assert summary.problem(found) == "1 of 5 messages have no outcome"


def test_a_change_that_changes_nothing_is_a_failure_of_the_real_engine_only() -> None:
    """Rules instead of a model call everything safe under every policy."""
    same = _JUDGED | {(1, 0): _verdict("safe", "new")}
    assert summary.problem(_summary(same, set(same))) == "none of 2 verdicts changed with the policy"
    assert summary.problem(_summary(same, set(same), engine="scripted")) is None


def test_no_verdict_under_the_new_policy_is_a_failure() -> None:
    """A policy that never came into force is not passed over."""
    old = {place: _verdict("safe", "old") for place in _JUDGED}
    assert summary.problem(_summary(old, set(old))) == "no verdict came under the changed policy"
