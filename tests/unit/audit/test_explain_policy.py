"""Which rule decided, and who was in force when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from tests.support import policies
from tests.support.verdicts import some_verdict
from worker.audit.explain.policy import Rule, deciding, first_words, stories
from worker.policy.combine import combine
from worker.policy.model import EffectivePolicy, record_digest
from worker.records import Action, CategoryVerdict, Clause, HistoryEntry, Policy, PolicyPart, Verdict
from worker.suppression import Suppression

FLOOR: Final = policies.policy(policies.category("F1", "Threats", action="block"), title="Floor")
OWN: Final = policies.policy(
    policies.category(
        "A",
        "Spam",
        action="hold",
        violates=(Clause(id="1", text="Sells things."),),
        allowed=(Clause(id="2", text="News."),),
    ),
    policies.category("B", "Gossip", action="label"),
    title="Own",
    default_action="hold",
    review_band=(0.4, 0.6),
    on_failure={"timeout": "block", "too_long": "label"},
)


MINUTE_MS: Final = 60_000


def at(minute: int, second: int = 0) -> int:
    """Return a time in Kafka's milliseconds."""
    return MINUTE_MS * minute + 1000 * second


def effective(floor: Policy | None = FLOOR) -> EffectivePolicy:
    """Return floor and tenant as they judge together; without a floor ``too_long`` is a label alone."""
    base = policies.accepted("platform", floor) if floor else None
    combined = combine(base, policies.accepted("acme", OWN, 1), None)
    assert combined is not None
    return combined


def verdict(*hits: tuple[str, str], **fields: Any) -> Verdict:
    """Return a verdict in which some categories were hit."""
    cited = tuple(CategoryVerdict(scope=scope, id=one, severity="medium", hit=True) for scope, one in hits)
    known: dict[str, Any] = {
        "categories": cited,
        "status": "judged",
        "label": "unsafe" if hits else "safe",
        "score": 0.9,
    }
    return replace(some_verdict(), **(known | fields))


@pytest.mark.parametrize(
    "hits, fields, rule, categories",
    [
        ([("platform", "F1"), ("acme", "A")], {"action": "block"}, "category", ["F1"]),
        ([("acme", "A"), ("acme", "B")], {"action": "hold"}, "category", ["A"]),
        ([("acme", "B")], {"action": "review", "score": 0.5}, "review_band", []),
        ([], {"action": "allow", "score": 0.1}, "nothing_hit", []),
        ([], {"action": "hold", "label": "unsafe"}, "default_action", []),
        ([], {"action": "block", "status": "timeout", "label": None, "score": None}, "on_failure", []),
        ([], {"action": "review", "status": "overloaded", "label": None, "score": None}, "on_failure", []),
        ([("platform", "F1")], {"action": "block", "status": "truncated", "label": None}, "category", ["F1"]),
    ],
)
def test_the_rule_that_decided_is_named(
    hits: list[tuple[str, str]], fields: dict[str, Any], rule: Rule, categories: list[str]
) -> None:
    """The strictest wins; what it gives is the verdict's action."""
    decided = deciding(verdict(*hits, **fields), effective())

    assert (decided.rule, decided.action, decided.agrees) == (rule, fields["action"], True)
    assert [item.id for item in decided.categories] == categories


def test_a_call_that_named_nothing_stands_beside_one_that_hit() -> None:
    """One call alone either names a category or has none; what it asked for was the band, then."""
    held, reviewed = verdict(("acme", "B"), action="hold"), verdict(("acme", "B"), action="review", score=0.5)

    assert (deciding(held, effective(), calls=2).rule, deciding(held, effective(), calls=2).agrees) == (
        "default_action",
        True,
    )
    assert not deciding(held, effective(), calls=1).agrees
    mild = with_default(effective(), "review")
    assert deciding(reviewed, mild, calls=1).rule == "review_band"


def with_default(policy: EffectivePolicy, action: Action) -> EffectivePolicy:
    """Return the policy with another default action."""
    return replace(policy, judging=replace(policy.judging, default_action=action))


def test_the_clause_is_quoted() -> None:
    """Those that the model cited, with what they say; whose category it is stands in the sentence."""
    decided = deciding(verdict(("acme", "A"), action="hold", clauses=("A/2", "A/1", "B/1")), effective())
    (category,) = decided.categories

    assert [(one.id, one.kind, one.text) for one in category.clauses] == [
        ("A/1", "violates", "Sells things."),
        ("A/2", "allowed", "News."),
    ]
    assert decided.text == "category A of acme was hit and asks for hold"


@pytest.mark.parametrize(
    "fields, calls, rule, agrees",
    [
        # One call's score lies in the band; the verdict has the highest of all.
        ({"action": "review", "score": 0.9}, 2, "review_band", True),
        ({"action": "review", "score": 0.9}, 1, "nothing_hit", False),
        # No call's can where the highest lies below.
        ({"action": "review", "score": 0.3}, 2, "nothing_hit", False),
        # Workers that tested the highest score alone gave no review for it.
        ({"action": "allow", "score": 0.9}, 2, "nothing_hit", True),
        ({"action": "review", "status": "too_long", "label": None, "score": 0.5}, 2, "review_band", True),
        ({"action": "label", "status": "too_long", "label": None, "score": 0.5}, 2, "on_failure", True),
        ({"action": "review", "status": "too_long", "label": None, "score": 0.5}, 1, "on_failure", False),
        ({"action": "review", "status": "too_long", "label": None, "score": None}, 2, "on_failure", False),
    ],
)
def test_the_band_may_have_asked_for_what_one_of_several_calls_found(
    fields: dict[str, Any], calls: int, rule: Rule, *, agrees: bool
) -> None:
    """The scores of the calls are not kept, so what the band may have asked for is not called wrong."""
    decided = deciding(verdict(**({"label": "safe"} | fields)), effective(floor=None), calls)

    assert (decided.rule, decided.agrees) == (rule, agrees)
    assert ("one of its calls" in decided.text) == (rule == "review_band")


@pytest.mark.parametrize(
    "score, calls, action, rule, agrees",
    [
        (0.9, 2, "hold", "default_action", True),
        (0.9, 1, "hold", "on_failure", False),
        (0.1, 2, "hold", "on_failure", False),
        (None, 2, "hold", "on_failure", False),
        (0.9, 2, "label", "on_failure", True),
    ],
)
def test_the_default_action_may_have_decided_beside_a_call_that_failed(
    score: float | None, calls: int, action: str, rule: Rule, *, agrees: bool
) -> None:
    """Another call was unsafe and named no category: the verdict has no label then, and its action is no other one."""
    one = verdict(status="too_long", label=None, score=score, action=action)
    decided = deciding(one, effective(floor=None), calls)

    assert (decided.rule, decided.agrees) == (rule, agrees)


@pytest.mark.parametrize("known", [effective, lambda: None])
def test_a_retraction_is_a_rule_of_its_own(known: Callable[[], EffectivePolicy | None]) -> None:
    """Whatever the policy would give; the verdict that was superseded is named, since it says why."""
    one = verdict(("acme", "A"), action="label", supersedes="b" * 32)
    decided = deciding(one, known())

    assert (decided.rule, decided.action, decided.agrees) == ("retraction", "label", True)
    assert "b" * 32 in decided.text


def taken(*categories: str, whole: bool = False) -> tuple[Suppression, ...]:
    """Return what an exception took back."""
    return (Suppression(exception="acme#x", digest="d" * 64, owner="trust", categories=categories, whole=whole),)


@pytest.mark.parametrize(
    "hits, fields, rule",
    [
        ([("acme", "A")], {"action": "allow", "suppressions": taken("acme:A")}, "exception"),
        ([("acme", "A"), ("acme", "B")], {"action": "label", "suppressions": taken("acme:A")}, "category"),
        ([("platform", "F1"), ("acme", "A")], {"action": "block", "suppressions": taken("acme:A")}, "category"),
        ([("acme", "B")], {"action": "review", "score": 0.5, "suppressions": taken("acme:B")}, "review_band"),
        ([("acme", "B")], {"action": "allow", "score": 0.5, "suppressions": taken("acme:B", whole=True)}, "exception"),
        ([], {"action": "allow", "label": "unsafe", "suppressions": taken(whole=True)}, "exception"),
        ([], {"action": "block", "status": "timeout", "label": None, "suppressions": taken("acme:A")}, "on_failure"),
    ],
)
def test_what_an_exception_took_back_does_not_decide(
    hits: list[tuple[str, str]], fields: dict[str, Any], rule: Rule
) -> None:
    """The rest gives the verdict's action; where nothing is left, the exception and its owner are named."""
    decided = deciding(verdict(*hits, **fields), effective())

    assert (decided.rule, decided.action, decided.agrees) == (rule, fields["action"], True)
    assert ("exception acme#x of trust took back" in decided.text) == (rule == "exception")


def test_an_action_that_the_policy_does_not_give_shows() -> None:
    """Somebody changed the verdict, or the policy is not the one that judged."""
    assert not deciding(verdict(("acme", "A"), action="allow"), effective()).agrees


def test_without_any_policy_it_is_a_review() -> None:
    """Never a silent safe."""
    decided = deciding(verdict(action="review", status="policy_missing", label=None), None)

    assert (decided.rule, decided.agrees) == ("no_policy", True)


def at_ms(time_ms: int) -> dt.datetime:
    """Return a time of Kafka's as policy-history has it."""
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC)


def entry(policy: Policy | None, offset: int, scope: str = "acme", **fields: Any) -> HistoryEntry:
    """Return a decision; a tombstone's without a policy."""
    known: dict[str, Any] = {
        "offset": offset,
        "timestamp": MINUTE_MS * offset,
        "scope": scope,
        "decision": "accepted" if policy else "deleted",
        "version": policy.version if policy else None,
        "digest": record_digest(policy) if policy else None,
        "golden_digest": None,
        "fingerprint": None,
        "effective_digest": None,
        "field": None,
        "reason": None,
        "policy": msgspec.json.encode(policy).decode() if policy else None,
        "decided_at": at_ms(MINUTE_MS * offset + 900),
        "decided_by": "worker-1",
    }
    return HistoryEntry(**(known | fields))


def part(policy: Policy, offset: int) -> PolicyPart:
    """Return what a verdict says of a policy."""
    return PolicyPart(scope="acme", version=policy.version, digest=record_digest(policy), offset=offset)


def test_each_part_has_its_time_in_force() -> None:
    """From its record to the next accepted one or tombstone; refusals and other scopes end nothing."""
    second = replace(OWN, version=2, author="dana", reason="stricter", title="Own 2")
    log = [
        entry(OWN, 1),
        entry(FLOOR, 2, "platform"),
        entry(replace(OWN, version=1), 3, decision="refused"),
        entry(second, 4),
        entry(second, 4, decided_by="a slow worker"),
        entry(None, 5),
    ]
    first, later = stories([part(OWN, 1), part(second, 4)], first_words(log), at(4, 12), at(4, 13))

    assert (first.from_ms, first.until_ms, first.replaced_by, first.in_force) == (at(1), at(4), 2, False)
    assert (later.from_ms, later.until_ms, later.replaced_by, later.in_force) == (at(4), at(5), None, True)
    assert (first.decided_at, first.replaced_at) == ("1970-01-01T00:01:00.900Z", "1970-01-01T00:04:00.900Z")
    assert (later.title, later.author, later.reason, later.decided_by) == ("Own 2", "dana", "stricter", "worker-1")


def test_a_message_may_be_judged_by_what_was_replaced_meanwhile() -> None:
    """What is in the engine finishes under the policy that it started with."""
    log = [entry(OWN, 1), entry(replace(OWN, version=2), 4)]
    (story,) = stories([part(OWN, 1)], log, at(3, 54), at(5))

    assert story.in_force is True


def test_until_its_replacement_is_decided_a_policy_is_in_force() -> None:
    """While golden cases are judged the old version judges and the new one does not, whenever its record came."""
    second = replace(OWN, version=2)
    log = [entry(OWN, 1), entry(second, 4, decided_at=at_ms(at(14)))]
    old, new = stories([part(OWN, 1), part(second, 4)], log, at(9), at(9, 1))
    before, after = stories([part(OWN, 1), part(second, 4)], log, at(15), at(15, 1))

    assert (old.in_force, new.in_force) == (True, False)
    assert (before.in_force, after.in_force) == (False, True)


def test_workers_hear_of_a_policy_within_seconds() -> None:
    """What comes just after a replacement may be judged by either, also where the clocks differ a little."""
    second = replace(OWN, version=2)
    log = [entry(OWN, 1), entry(second, 4)]
    old, new = stories([part(OWN, 1), part(second, 4)], log, at(4, 2), at(4, 2))
    early, soon = stories([part(OWN, 1), part(second, 4)], log, at(4), at(4))

    assert (old.in_force, new.in_force, early.in_force, soon.in_force) == (True, True, True, True)


def test_a_part_that_the_history_lacks_says_so() -> None:
    """Its place and digest are still known from the verdict."""
    (story,) = stories([part(OWN, 1)], [], 0, 1)

    assert (story.version, story.in_force, story.from_ms) == (1, None, None)
