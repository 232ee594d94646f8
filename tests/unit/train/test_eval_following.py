"""Policy pairs: what is asked, when a pair counts, and the shares."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.conftest import SHARED_DATA
from tests.support.evaluating import answer, made_rows, row
from worker.train.data.labels import SPAM, TOXICITY
from worker.train.data.load import load_rows, split_rows
from worker.train.data.splits import Split
from worker.train.evaluation import following
from worker.train.evaluation.cases import Asked, canonical, canonical_of
from worker.train.evaluation.data import closed, in_order
from worker.train.evaluation.following import Held, figures, put_together, questions
from worker.train.evaluation.reasoning import citation_questions
from worker.train.evaluation.run import SWAPPED_PAIRS
from worker.train.evaluation.targets import ECE_ROWS
from worker.train.policies.following import KINDS, Pair, pairs, right_labels

SPAM_ROW = row("claim your prize", known={SPAM: True, TOXICITY: False}, source="sms")
REMOVED = Pair(kind="removed", flip=True, row=SPAM_ROW, before=canonical(SPAM), afters=(canonical(TOXICITY),))
REORDERED = Pair(
    kind="reordered",
    flip=False,
    row=SPAM_ROW,
    before=canonical_of((SPAM, TOXICITY)),
    afters=(canonical_of((TOXICITY, SPAM)), canonical_of((SPAM, TOXICITY))),
)


def held(number: int, *, before: bool, after: bool, **fields: object) -> Held:
    """Return a pair with what came of it."""
    given = {"kind": "removed", "flip": True, "group": f"g{number}", "unsafe": True, "listed": True}
    return Held(before=before, after=after, **(given | fields))  # type: ignore[arg-type]


def told(one: Asked) -> dict[str, Any]:
    """Return what an answer that cites what is violated takes from its question."""
    return {name: getattr(one, name) for name in ("place", "name", "group", "right_ids")} | {"cited": one.right_ids}


def test_every_side_is_asked() -> None:
    """Side 0 is before; labels follow the policy of each side."""
    asked = questions([REMOVED, REORDERED], "direct")

    assert [one.place for one in asked] == ["made:0|0/0", "made:0|0/1", "made:0|1/0", "made:0|1/1", "made:0|1/2"]
    assert [one.unsafe for one in asked] == [True, False, True, True, True]
    assert {one.name for one in asked} == {"following/removed", "following/reordered"}
    assert right_labels(REMOVED) == ("unsafe", "safe")


def test_a_pair_counts_if_every_side_is_right() -> None:
    """Of several afters the worst counts."""
    scores = [0.9, 0.1, 0.9, 0.9, 0.1]
    asked = questions([REMOVED, REORDERED], "direct")
    found = [
        answer(0, unsafe=one.unsafe, score=score, place=one.place, name=one.name)
        for one, score in zip(asked, scores, strict=True)
    ]

    removed, reordered = put_together([REMOVED, REORDERED], reversed(found))

    assert (removed.before, removed.after, removed.flip, removed.unsafe) == (True, True, True, True)
    assert (reordered.before, reordered.after) == (True, False)


def test_a_category_that_returns_is_gated_by_the_policy_that_had_it() -> None:
    """A row that is not known under the full policy tells nothing of following; one that is must be right twice."""
    returned = msgspec.structs.replace(
        REMOVED, kind="returned", before=REMOVED.afters[0], afters=(REMOVED.before,), full=REMOVED.before
    )
    for scores, wanted in (
        ([0.1, 0.9, 0.9], (True, True)),
        ([0.1, 0.9, 0.1], (False, True)),
        ([0.9, 0.9, 0.9], (True, False)),
        ([0.1, 0.1, 0.9], (True, False)),
    ):
        pairs = zip(questions([returned], "direct"), scores, strict=True)
        found = [answer(0, unsafe=one.unsafe, score=score, place=one.place, name=one.name) for one, score in pairs]
        (held_,) = put_together([returned], found)
        assert wanted == (held_.before, held_.after)


def test_exchanged_definitions_ask_what_is_cited() -> None:
    """The verdict is unsafe on both sides, so a side is right if the violated category is cited, and no other."""
    row_ = row("you are vermin", known={SPAM: True, TOXICITY: False}, source="sms")
    before, after = canonical_of((SPAM, TOXICITY)), canonical_of((TOXICITY, SPAM))
    exchanged = Pair(kind="definitions_exchanged", flip=True, row=row_, before=before, afters=(after,))
    asked = questions([exchanged], "direct")
    right = asked[0].right_ids
    assert len(right) == 1
    for cited, wanted in (
        ((right, right), (True, True)),
        ((("X",), right), (False, True)),
        ((right, ()), (True, False)),
    ):
        found = [
            answer(n, unsafe=True, score=0.9, place=one.place, name=one.name, cited=said, right_ids=one.right_ids)
            for n, (one, said) in enumerate(zip(asked, cited, strict=True))
        ]
        (held_,) = put_together([exchanged], found)
        assert wanted == (held_.before, held_.after)
    too_many = answer(0, unsafe=True, score=0.9, name=asked[0].name, cited=(*right, "X"), right_ids=right)
    assert not following.is_right(too_many)
    assert following.is_right(msgspec.structs.replace(too_many, name="following/removed"))


def test_both_forms_of_a_swap_are_reported_apart() -> None:
    """Each with a control of its own; only the form that flips the label has scores to calibrate."""
    kinds = ("definitions_swapped", "definitions_swapped_kept", "definitions_exchanged", "definitions_exchanged_kept")
    part = [held(n, before=True, after=True, kind=kind, flip=n % 2 == 0) for n, kind in enumerate(kinds)]

    found = figures(part, seed=1)

    assert {name: found[name].pairs for name in kinds} == dict.fromkeys(kinds, 1)
    for form in ("definitions_swapped", "definitions_exchanged"):
        assert found[f"{form} with control"].pairs == 2
    assert [kind for kind in KINDS if following.SWAPPED in kind] == [
        "definitions_swapped",
        "violates_allowed_swapped",
        "definitions_swapped_kept",
    ]


def test_shares_over_right_and_over_all() -> None:
    """Four pairs, three right before, two of those right after."""
    part = [
        held(0, before=True, after=True),
        held(1, before=True, after=True),
        held(2, before=True, after=False),
        held(3, before=False, after=True),
    ]

    found = figures(part, seed=1)["removed"]

    assert (found.pairs, found.before) == (4, 3)
    assert found.over_right is not None
    assert found.over_right.value == pytest.approx(2 / 3)
    assert found.over_all.value == 0.5
    assert found.listed == 1
    assert found.over_listed.value == -0.5


def test_the_lower_class_counts() -> None:
    """Pairs that were unsafe are all right, half of those that were safe."""
    part = [held(n, before=True, after=True) for n in range(4)]
    part += [held(n + 4, before=True, after=n % 2 == 0, unsafe=False) for n in range(4)]

    found = figures(part, seed=1)["removed"]

    assert (found.unsafe_before, found.safe_before) == (1.0, 0.5)
    assert found.lower is not None
    assert found.lower.value == pytest.approx(0.5)
    only = figures(part[4:], seed=1)["removed"]
    assert only.unsafe_before is None
    assert only.lower == only.over_right


def test_lists_hold_their_kinds() -> None:
    """What must flip, what must hold, controls apart; edits stand beside their controls."""
    part = [
        held(0, before=True, after=True, kind="narrowed"),
        held(1, before=True, after=True, kind="narrowed_kept", flip=False),
        held(2, before=True, after=True, kind="renamed", flip=False),
    ]

    found = figures(part, seed=1)

    assert {name: one.pairs for name, one in found.items()} == {
        following.FLIP: 1,
        following.HOLD: 1,
        following.CONTROL: 1,
        following.EDITS: 2,
        "narrowed with control": 2,
        "narrowed": 1,
        "narrowed_kept": 1,
        "renamed": 1,
    }


@pytest.mark.parametrize("flips", [True, False])
def test_always_or_never_flipping_is_no_following(flips: bool) -> None:  # noqa: FBT001
    """Of an edit with its control either gets a half, however many there are of each; so do names alone."""
    edits = [held(n, before=True, after=flips, kind="narrowed", listed=False) for n in range(30)]
    controls = [held(90 + n, before=True, after=not flips, kind="narrowed_kept", flip=False) for n in range(10)]
    unknown = [held(200 + n, before=False, after=True, kind="narrowed", listed=False) for n in range(9)]

    found = figures([*edits, *controls, *unknown], seed=1)["narrowed with control"]

    assert (found.pairs, found.before, found.right_listed) == (49, 40, 0.5)
    gap = found.right_over_listed
    assert gap is not None
    assert gap.value == 0
    assert gap.low <= 0 <= gap.high
    assert found.over_listed.value == pytest.approx((30 if flips else 10) / 49 - 10 / 49)


def test_nothing_right_before() -> None:
    """There is no share over nothing, and 0 over all."""
    found = figures([held(0, before=False, after=True)], seed=1)["removed"]

    assert (found.over_right, found.lower, found.over_all.value) == (None, None, 0)


def test_scores_under_swapped_policies() -> None:
    """Only the changed side of exchanged policies is calibrated."""
    name = "following/violates_allowed_swapped"
    found = [
        answer(0, unsafe=True, score=0.2, name=name, place="x|0/0"),
        answer(1, unsafe=False, score=0.8, name=name, place="x|0/1"),
        answer(2, unsafe=False, score=0.8, name="following/renamed", place="x|1/1"),
    ]

    calibration = following.swapped_calibration(found)

    assert calibration is not None
    assert calibration.rows == 1
    assert calibration.ece == pytest.approx(0.8)
    assert following.swapped_calibration(found[2:]) is None
    error = following.swapped_error(found, seed=1)
    assert error is not None
    assert error.value == pytest.approx(calibration.ece)
    assert following.swapped_error(found[2:], seed=1) is None


def test_a_model_that_reads_everything_gets_everything_right() -> None:
    """Over real pairs of made-up rows: right answers are 1 everywhere, and names alone are worse."""
    chosen = pairs(made_rows(80, "rows"), random.Random(1), 8)
    found = [
        answer(n, unsafe=one.unsafe, score=float(one.unsafe), **told(one))
        for n, one in enumerate(questions(chosen, "direct"))
    ]

    table = figures(put_together(chosen, found), seed=1)

    assert chosen
    assert all(one.over_all.value == 1 and one.over_right and one.over_right.low == 1 for one in table.values())
    assert np.mean([one.listed for one in table.values()]) < 1


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("split", ["dev", "test"])
def test_reviewed_relations_alone_give_every_list_its_pairs(split: Split) -> None:
    """No label that a model made is needed, and scores under exchanged policies are as many as are asked for."""
    rows = closed(in_order(split_rows(load_rows(SHARED_DATA))[split], split))
    limits = {kind: SWAPPED_PAIRS for kind in KINDS if following.SWAPPED in kind}

    found = pairs(rows, random.Random(1), 60, limits)

    counts = Counter(pair.kind for pair in found)
    assert all(counts[kind] >= 60 for kind in KINDS if kind not in limits)
    assert sum(counts[kind] for kind in limits) >= ECE_ROWS
    sources = {pair.row.source for pair in found if pair.kind == "definitions_exchanged"}
    assert sources == {"convabuse", "davidson", "edos", "hatemoji"}
    for parts in (False, True):
        assert len(citation_questions(rows, 300, "direct", seed=1, parts=parts)) >= 60
