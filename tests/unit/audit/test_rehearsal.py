"""Live verdicts against those of a policy under rehearsal: counts, intervals, gates."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.audit.comparison import Outcome
from worker.audit.intervals import interval
from worker.audit.rehearsal.read import Promotion
from worker.audit.rehearsal.rehearsal import MOST_EXAMPLES, Gates, RehearsalReport, Side, Tally, obstacles
from worker.commands.rehearsal import promotion_lines, report_lines
from worker.judge.judgement import NO_USAGE
from worker.records import Label

SHADOW: Final = Side(version=2, digest="b" * 64)
LIVE: Final = Side(version=1, digest="a" * 64)
Pair = tuple[Outcome, Outcome]


def outcome(number: int, label: Label | None, *hits: str, **fields: Any) -> Outcome:
    """Return what a comparison needs of the verdict of one message."""
    chosen: dict[str, Any] = {
        "tenant_id": "acme",
        "message_id": f"m{number}",
        "language": None,
        "partition": number % 3,
        "offset": number,
        "status": "judged" if label else "truncated",
        "label": label,
        "action": "block" if label == "unsafe" else "allow",
        "score": None,
        "hits": frozenset(hits),
        "policy_digest": None,
        "fingerprint": None,
        "usage": NO_USAGE,
        "engine_ms": 0.0,
    }
    return Outcome(**(chosen | fields))


def report_of(*pairs: Pair) -> RehearsalReport:
    """Compare pairs."""
    tally = Tally()
    for live, shadow in pairs:
        tally.add(live, shadow)
    return tally.report("acme", LIVE, SHADOW)


def same(count: int) -> list[Pair]:
    """Return messages about which both agree."""
    return [(outcome(n, "safe"), outcome(n, "safe")) for n in range(count)]


def test_flips_by_label_action_and_category() -> None:
    """Each change stands in its direction, with the ids of messages and never a text."""
    report = report_of(
        *same(6),
        (outcome(6, "safe"), outcome(6, "unsafe", "acme:U7")),
        (outcome(7, "unsafe", "acme:U8"), outcome(7, "safe")),
        (outcome(8, "unsafe", "acme:U8"), outcome(8, "unsafe", "acme:U8", action="hold")),
        (outcome(9, "safe"), outcome(9, None)),
    )
    assert (report.sample, report.judged) == (10, 9)
    assert (report.flips, report.disagreement) == (interval(2, 9), interval(4, 10))
    assert (report.flag_rate_shadow, report.flag_rate_live) == (interval(2, 9), interval(2, 9))
    assert {(cell.before, cell.after): cell.count for cell in report.labels} == {
        ("safe", "safe"): 6,
        ("safe", "unsafe"): 1,
        ("unsafe", "safe"): 1,
        ("unsafe", "unsafe"): 1,
        ("safe", "truncated"): 1,
    }
    assert {(cell.before, cell.after): cell.count for cell in report.actions} == {
        ("allow", "allow"): 7,
        ("allow", "block"): 1,
        ("block", "allow"): 1,
        ("block", "hold"): 1,
    }
    newly, gone = report.categories
    assert (newly.key, newly.newly_hit, newly.no_longer_hit) == ("acme:U7", interval(1, 10), interval(0, 10))
    assert [one.message_id for one in newly.newly_hit_examples] == ["m6"]
    assert (gone.key, gone.live, gone.shadow, gone.no_longer_hit_count) == ("acme:U8", 2, 1, 1)
    assert [(one.message_id, one.before, one.after) for one in gone.no_longer_hit_examples] == [
        ("m7", "unsafe block", "safe allow")
    ]


OUTCOMES: Final = st.tuples(
    st.sampled_from(["safe", "unsafe", None]), st.sampled_from(["allow", "block"]), st.frozensets(st.sampled_from("AB"))
)


@given(drawn=st.lists(st.tuples(OUTCOMES, OUTCOMES), max_size=30), order=st.randoms())
def test_the_order_of_the_log_does_not_matter(drawn: list[Any], order: Any) -> None:
    """Counts add up, and pairs in any order give the same report, examples included."""
    pairs = [
        (outcome(n, one[0], *one[2], action=one[1]), outcome(n, two[0], *two[2], action=two[1]))
        for n, (one, two) in enumerate(drawn)
    ]
    report = report_of(*pairs)
    assert sum(cell.count for cell in report.labels) == sum(cell.count for cell in report.actions) == report.sample
    assert report.sample == len(pairs)
    for change in report.categories:
        assert change.shadow - change.live == change.newly_hit_count - change.no_longer_hit_count
        assert len(change.newly_hit_examples) == min(change.newly_hit_count, MOST_EXAMPLES)
    order.shuffle(pairs)
    assert report_of(*pairs) == report


@given(count=st.integers(0, 400), limit=st.floats(0, 1), flips=st.integers(0, 400))
def test_what_passes_a_gate_is_below_its_limit(count: int, limit: float, flips: int) -> None:
    """No estimate above the limit ever passes, and nothing passes with a sample that is too small."""
    changed = min(count, flips)
    pairs = [(live, outcome(n, "unsafe") if n < changed else shadow) for n, (live, shadow) in enumerate(same(count))]
    report = report_of(*pairs)
    if not obstacles(report, Gates(min_sample=50, max_disagreement=limit, max_flag_rate=limit)):
        assert count >= 50
        assert changed / count <= limit


@pytest.mark.parametrize(
    "gates, named",
    [
        (Gates(), []),
        (Gates(min_sample=301), ["301 are wanted"]),
        (Gates(max_disagreement=0.02), ["disagreement is 0.0100 and may be up to 0.029"]),
        (Gates(max_disagreement=0.03), []),
        (Gates(max_flag_rate=0.0), ["flag rate"]),
        (Gates(min_sample=301, max_flag_rate=0.0, max_disagreement=0.0), ["wanted", "flag rate", "disagreement"]),
    ],
)
def test_gates_say_what_stands_in_the_way(gates: Gates, named: list[str]) -> None:
    """The upper end of the interval counts, and every gate that does not hold is named."""
    pairs = [(live, outcome(n, "unsafe") if n < 3 else shadow) for n, (live, shadow) in enumerate(same(300))]
    found = obstacles(report_of(*pairs), gates)

    assert len(found) == len(named)
    assert all(part in line for part, line in zip(named, found, strict=True))


def test_without_a_sample_every_limit_holds_it() -> None:
    """Nothing to tell from is no reason to promote."""
    assert len(obstacles(report_of(), Gates(min_sample=1, max_flag_rate=0.9, max_disagreement=0.9))) == 3


def test_the_model_that_judged_last_counts() -> None:
    """Pairs of an earlier model, and of two models, are counted and not compared."""
    old, new = {"fingerprint": "old"}, {"fingerprint": "new"}
    tally = Tally()
    for number in range(3):
        tally.add(outcome(number, "safe", **new), outcome(number, "unsafe", **new), 2_000 + number)
    for number in range(3, 9):
        tally.add(outcome(number, "safe", **old), outcome(number, "safe", **old), 1_000 + number)
    tally.add(outcome(9, "safe", **old), outcome(9, "safe", **new), 3_000)
    report = tally.report("acme", LIVE, SHADOW)

    assert (report.sample, report.flips, report.other_model) == (3, interval(3, 3), 7)
    assert "left out: 7 of another model" in "\n".join(report_lines(report))


def test_the_report_for_a_terminal() -> None:
    """Digests, sample, rates and ids stand there; control characters of an id do not."""
    live, shadow = outcome(1, "safe"), outcome(1, "unsafe", "acme:U7")
    tally = Tally()
    tally.add(live, shadow)
    tally.add(outcome(2, "safe", message_id="\x1b[2J"), outcome(2, "unsafe", message_id="\x1b[2J"))
    tally.other_policy = 3
    report = tally.report("acme", LIVE, SHADOW)
    text = "\n".join(report_lines(report))

    assert "acme: v2 (bbbbbbbbbbbb) under rehearsal against v1 (aaaaaaaaaaaa) live" in text
    assert "sample: 2 messages, 2 judged by both; left out: 3 under another live policy or floor" in text
    assert "newly hit: m1 (1/1)" in text
    assert "\x1b" not in text
    held = Promotion(report=report, gates=Gates(), obstacles=("too few",))
    assert promotion_lines(held)[-1] == "held: too few"
    tried = Promotion(report=report, gates=Gates(), obstacles=())
    assert promotion_lines(tried)[-1] == "every gate holds; without --dry-run acme would be promoted"
