"""Flips, their groups, and what the A/A control says of them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.comparing import outcome
from worker.audit.compare import MOST_EXAMPLES, Comparer
from worker.audit.comparison import Comparison, Outcome
from worker.audit.intervals import difference, interval


def compared(*pairs: tuple[Outcome | None, Outcome], labels: Any = None) -> Comparison:
    """Compare pairs of an original and a replay."""
    comparer = Comparer(labels)
    for before, after in pairs:
        comparer.add(before, after)
    return comparer.result()


def test_a_flip_needs_two_labels() -> None:
    """Another label is a flip; a status that changed, or two failures, are none."""
    found = compared(
        (outcome(0, "safe"), outcome(0, "unsafe")),
        (outcome(1, "unsafe"), outcome(1, "safe")),
        (outcome(2, None), outcome(2, "unsafe")),
        (outcome(3, "unsafe"), outcome(3, None)),
        (outcome(4, None), outcome(4, None)),
        (outcome(5, "safe"), outcome(5, "safe")),
    )

    total = found.total
    assert (total.messages, total.judged, total.flips, total.to_unsafe, total.to_safe) == (6, 3, 2, 1, 1)
    assert (total.status_changes, total.action_changes) == (2, 4)
    assert total.rate.value == pytest.approx(2 / 3)
    assert {(cell.before, cell.after): cell.count for cell in found.matrix} == {
        ("safe", "safe"): 1,
        ("safe", "unsafe"): 1,
        ("timeout", "timeout"): 1,
        ("timeout", "unsafe"): 1,
        ("unsafe", "safe"): 1,
        ("unsafe", "timeout"): 1,
    }


def test_groups_add_up() -> None:
    """Every message is in one tenant, one language and one side of the policy; the sums are the total's."""
    draw = random.Random(7)
    pairs = []
    for offset in range(500):
        fields: dict[str, Any] = {"tenant_id": draw.choice("abc"), "language": draw.choice(["en", "de", None])}
        before = outcome(offset, draw.choice(["safe", "unsafe", None]), **fields)
        after = outcome(offset, draw.choice(["safe", "unsafe"]), policy_digest=draw.choice(["p1", "p2"]), **fields)
        pairs.append((before, after))

    found = compared(*pairs)

    for groups in (found.tenants, found.languages, (found.same_policy, found.other_policy)):
        for name in ("messages", "judged", "to_unsafe", "to_safe", "status_changes", "action_changes"):
            assert sum(getattr(group, name) for group in groups) == getattr(found.total, name)
    assert sum(cell.count for cell in found.matrix) == 500
    assert {group.key for group in found.languages} == {"en", "de", "(none)"}
    assert [group.flips for group in found.tenants] == sorted((group.flips for group in found.tenants), reverse=True)


def test_what_overload_cut_short_is_told_apart() -> None:
    """Judged with less one time and in full the other: its flips are named, whichever side had less."""
    found = compared(
        (outcome(0, "safe", rung="label_only"), outcome(0, "unsafe")),
        (outcome(1, "safe"), outcome(1, "unsafe")),
        (outcome(2, "safe", rung="short_reasoning"), outcome(2, "unsafe", rung="short_reasoning")),
        (outcome(3, None, rung="hold"), outcome(3, "safe")),
    )

    assert (found.total.flips, found.other_rung.flips) == (3, 1)
    assert (found.other_rung.messages, found.other_rung.status_changes) == (2, 1)
    assert [one.message_id for one in found.other_rung.examples] == ["m0"]


def test_categories_are_gained_and_lost() -> None:
    """A category counts by hits, whatever the label does; floor and tenant ids are told apart."""
    both = frozenset({"platform:U7", "acme:U7"})
    found = compared(
        (outcome(0, "unsafe", hits=both), outcome(0, "unsafe", hits=frozenset({"platform:U7"}))),
        (outcome(1, "safe"), outcome(1, "unsafe", hits=frozenset({"platform:U7"}))),
    )

    by_key = {group.key: (group.before, group.after, group.gained, group.lost) for group in found.categories}
    assert by_key == {"acme:U7": (1, 0, 0, 1), "platform:U7": (1, 2, 1, 0)}
    assert [example.message_id for group in found.categories for example in group.examples] == ["m0", "m1"]


def test_examples_do_not_depend_on_the_order() -> None:
    """The first flips of the log are named, at most five, whatever order they come in."""
    pairs = [(outcome(offset, "safe"), outcome(offset, "unsafe")) for offset in range(40)]
    shuffled = random.Random(3).sample(pairs, len(pairs))

    found = compared(*shuffled)

    assert [example.offset for example in found.total.examples] == list(range(MOST_EXAMPLES))
    assert found == compared(*pairs)


def test_without_an_original_there_is_nothing_to_compare() -> None:
    """Such an outcome costs, and is counted apart."""
    found = compared((None, outcome(0)), (outcome(1), outcome(1)))

    assert (found.without_original, found.total.messages, found.cost.messages) == (1, 1, 2)
    assert found.cost.prompt_tokens == 800
    assert found.cost.engine_s == 0.2


@pytest.mark.parametrize(
    "flips, control_flips, explained",
    [(0, 0, True), (10, 1, True), (200, 2, False), (2, 10, True)],
    ids=["none", "as many", "many more", "fewer"],
)
def test_the_control_explains_flips_or_does_not(flips: int, control_flips: int, explained: bool) -> None:  # noqa: FBT001
    """Of 1,000 messages and 100 in the control: flips at the control's rate are numerics, many more are not."""
    comparer = Comparer()
    for offset in range(1000):
        comparer.add(outcome(offset), outcome(offset, "unsafe" if offset < flips else "safe"))
    for offset in range(100):
        comparer.add_control(outcome(offset), outcome(offset, "unsafe" if offset < control_flips else "safe"))

    found = comparer.result()

    assert found.explained is explained
    assert (found.control.pairs, found.control.flips) == (100, control_flips)
    assert found.control_cost.messages == 100
    assert found.excess.value == pytest.approx(flips / 1000 - control_flips / 100)


def test_no_control_explains_nothing() -> None:
    """Without a second judgement nobody can say where flips come from."""
    assert compared((outcome(0), outcome(0))).explained is None


def test_scores_of_the_control() -> None:
    """How far two scores of one message lie apart is told beside the flips."""
    comparer = Comparer()
    comparer.add_control(outcome(0, score=0.5), outcome(0, score=0.6))
    comparer.add_control(outcome(1, score=0.5), outcome(1, score=0.2))
    comparer.add_control(outcome(2, None), outcome(2, None))

    control = comparer.result().control

    assert control.pairs == 2
    assert control.score_shift_mean == pytest.approx(0.2)
    assert control.score_shift_max == pytest.approx(0.3)


def test_score_changes_fall_into_bars() -> None:
    """The middle bar is no change; the ends hold everything beyond them."""
    found = compared(
        (outcome(0, score=0.5), outcome(0, score=0.52)),
        (outcome(1, score=0.0), outcome(1, score=1.0)),
        (outcome(2, score=1.0), outcome(2, score=0.0)),
        (outcome(3, score=0.5), outcome(3, score=0.81)),
        (outcome(4, score=None), outcome(4, score=0.5)),
    )

    assert len(found.score_changes) == 21
    assert {index - 10: count for index, count in enumerate(found.score_changes) if count} == {
        0: 1,
        10: 1,
        -10: 1,
        3: 1,
    }


def test_precision_and_recall_only_with_labels() -> None:
    """Each side is held against the labels of people; a tenant's own label goes before one for everybody."""
    pairs = [
        (outcome(0, "unsafe"), outcome(0, "unsafe")),
        (outcome(1, "unsafe"), outcome(1, "safe")),
        (outcome(2, "safe"), outcome(2, "unsafe")),
        (outcome(3, "safe"), outcome(3, None)),
        (outcome(4, "safe"), outcome(4, "safe")),
    ]
    labels = {(None, "m0"): "unsafe", (None, "m1"): "unsafe", ("acme", "m1"): "safe", (None, "m2"): "unsafe"}
    labels[None, "m3"] = "unsafe"

    quality = compared(*pairs, labels=labels).quality

    assert compared(*pairs).quality is None
    assert quality is not None
    assert quality.labelled == 4
    assert quality.before.precision.value == 0.5
    assert quality.before.recall.value == pytest.approx(1 / 3)
    assert (quality.after.precision.value, quality.after.recall.value) == (1.0, 1.0)
    assert (quality.before.unjudged, quality.after.unjudged, quality.after.true_negatives) == (0, 1, 1)


def test_models_are_told_apart() -> None:
    """Messages by the fingerprint that judged them, before and after."""
    found = compared((outcome(0), outcome(0, fingerprint="f2")), (outcome(1, fingerprint=None), outcome(1)))

    assert found.models_before == {"f1": 1, "none": 1}
    assert found.models_after == {"f2": 1, "f1": 1}


def test_intervals_are_the_published_ones() -> None:
    """Newcombe's example of 1998, 56 of 70 against 48 of 80; Wilson's interval at both ends."""
    found = difference(56, 70, 48, 80)

    assert found.low == pytest.approx(0.0524, abs=1e-4)
    assert found.high == pytest.approx(0.3339, abs=1e-4)
    assert interval(0, 0).value is None
    assert (interval(0, 10).low, interval(10, 10).high) == (0.0, 1.0)
    assert interval(0, 200).high == pytest.approx(0.0188, abs=1e-4)
    assert difference(1, 2, 0, 0).value is None


@pytest.mark.parametrize("of", [1, 7, 50, 1000])
def test_an_interval_holds_its_share(of: int) -> None:
    """Whatever the count, the share lies inside, and all of it from 0 to 1."""
    for count in range(of + 1):
        found = interval(count, of)
        assert found.value is not None
        assert 0.0 <= found.low <= found.value <= found.high <= 1.0
