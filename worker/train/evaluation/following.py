"""Does the verdict follow the policy? Pairs of policies for one row that must flip it, or must hold it. Pure.

A pair counts only if every side of it is right; where two listed names exchange their definitions, that is the violated
category cited and no other. Its share is given over the rows that are right under the full policy (so that it measures
following and not knowing), and over all rows beside it. The full policy is the one as it was, and for a category that
returns the one before that category was taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from worker.records import ScoreMethod
from worker.train.evaluation import bootstrap, metrics
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.cases import Asked, asked
from worker.train.evaluation.judging import Answered
from worker.train.evaluation.metrics import Calibration
from worker.train.evaluation.quality import labels_of, scores_of
from worker.train.policies.following import CITED, CONTROLS, Pair, listed_is_right

PREFIX: Final = "following/"
FLIP: Final = "must flip"
HOLD: Final = "must hold"
CONTROL: Final = "controls of edits"
#: Edits of definitions and their controls: a model that only reads names gets the second right and no first.
EDITS: Final = "edits and controls"
_KEPT: Final = "_kept"
#: One kind of edit with its control, by the edit's kind.
WITH_CONTROL: Final = {kind.removesuffix(_KEPT): f"{kind.removesuffix(_KEPT)} with control" for kind in CONTROLS}
#: Kinds whose sides come from policies with exchanged meanings: scores under them are calibrated apart.
SWAPPED: Final = "swap"


class Held(Struct, frozen=True, kw_only=True):
    """One pair with what came of it.

    Attributes:
        unsafe: the right label under the policy as it was.
        before: whether the answer is right under the full policy; ``after``: under all the others.

    """

    kind: str
    flip: bool
    group: str
    unsafe: bool
    before: bool
    after: bool
    listed: bool


class Following(Struct, frozen=True, kw_only=True):
    """Figures of one kind of pair.

    Attributes:
        pairs: how many; ``before`` of them are right under the full policy.
        over_right: share of pairs right, over those.
        over_all: share of pairs right, over all.
        unsafe_before, safe_before: ``over_right`` of rows of either label, where there are any.
        lower: the lower of the two (the one, where there is one).
        listed: ``over_all`` of a baseline that only looks whether a category is listed.
        over_listed: ``over_all`` minus that, paired.
        right_listed: that baseline's share over the rows right under the full policy.
        right_over_listed: the model's share over those rows minus that, paired. Where several kinds are put together
            each counts as much as any other, so that neither "always flip" nor "never flip" has more than a half.

    """

    pairs: int
    before: int
    over_right: Interval | None
    over_all: Interval
    unsafe_before: float | None
    safe_before: float | None
    lower: Interval | None
    listed: float
    over_listed: Interval
    right_listed: float | None = None
    right_over_listed: Interval | None = None


def questions(pairs: Sequence[Pair], method: ScoreMethod) -> list[Asked]:
    """Ask for every side of every pair; a place is ``<row>|<number of the pair>/<side>``.

    Side 0 is before; the last one is the full policy where that is another one.
    """
    return [
        asked(pair.row, wording, method, name=PREFIX + pair.kind, place=f"{pair.row.place}|{number}/{side}")
        for number, pair in enumerate(pairs)
        for side, wording in enumerate(filter(None, (pair.before, *pair.afters, pair.full)))
    ]


def put_together(pairs: Sequence[Pair], found: Iterable[Answered]) -> list[Held]:
    """Put the answers of each pair together. Several afters count as their worst one."""
    sides: dict[str, dict[int, Answered]] = {}
    for one in found:
        pair, _, side = one.place.rpartition("/")
        sides.setdefault(pair, {})[int(side)] = one
    return [_held(pair, sides[f"{pair.row.place}|{number}"]) for number, pair in enumerate(pairs)]


def _held(pair: Pair, sides: Mapping[int, Answered]) -> Held:
    gate = max(sides) if pair.full else 0
    right = {side: is_right(one) for side, one in sides.items()}
    return Held(
        kind=pair.kind,
        flip=pair.flip,
        group=sides[0].group,
        unsafe=sides[0].unsafe,
        before=right[gate],
        after=all(hit for side, hit in right.items() if side != gate),
        listed=listed_is_right(pair),
    )


def is_right(one: Answered) -> bool:
    """Whether the answer to one side of a pair is right, with what it cites where that is what the edit changes."""
    return one.is_right and (one.name.removeprefix(PREFIX) not in CITED or set(one.cited) == set(one.right_ids))


def figures(held: Sequence[Held], seed: int) -> dict[str, Following]:
    """Return figures by kind, and of all that must flip, all that must hold, and the edits with their controls."""
    both = {WITH_CONTROL[kind]: {kind, kind + _KEPT} for kind in WITH_CONTROL}
    lists = {
        FLIP: [one for one in held if one.flip],
        HOLD: [one for one in held if not one.flip and one.kind not in CONTROLS],
        CONTROL: [one for one in held if one.kind in CONTROLS],
        EDITS: [one for one in held if one.kind in CONTROLS or one.kind in WITH_CONTROL],
    } | {name: [one for one in held if one.kind in kinds] for name, kinds in both.items()}
    kinds = {kind: [one for one in held if one.kind == kind] for kind in sorted({one.kind for one in held})}
    return {name: _figures(part, seed) for name, part in (lists | kinds).items() if part}


def _figures(part: Sequence[Held], seed: int) -> Following:
    both = np.array([one.before and one.after for one in part])
    listed = np.array([one.listed for one in part])
    groups = [one.group for one in part]
    right = [one for one in part if one.before]
    gap = bootstrap.difference(bootstrap.share(both), bootstrap.share(listed))
    return Following(
        pairs=len(part),
        before=len(right),
        over_right=_share(right, seed),
        over_all=bootstrap.interval(bootstrap.share(both), groups, seed=seed),
        unsafe_before=_plain([one for one in right if one.unsafe]),
        safe_before=_plain([one for one in right if not one.unsafe]),
        lower=_lower(right, seed),
        listed=float(listed.mean()),
        over_listed=bootstrap.interval(gap, groups, seed=seed),
        right_listed=float(_even(right, [one.listed for one in right])(np.ones((1, len(right))))[0]) if right else None,
        right_over_listed=_right_over_listed(right, seed),
    )


def _right_over_listed(right: Sequence[Held], seed: int) -> Interval | None:
    if not right:
        return None
    gap = bootstrap.difference(_even(right, [one.after for one in right]), _even(right, [one.listed for one in right]))
    return bootstrap.interval(gap, [one.group for one in right], seed=seed)


def _even(part: Sequence[Held], hits: Sequence[bool]) -> bootstrap.Figure:
    """Return the figure "share that hits", the mean of the shares of each kind."""
    found, kinds = np.asarray(hits, float), np.array([one.kind for one in part])
    masks = [(kinds == kind).astype(float) for kind in np.unique(kinds)]
    return lambda weights: np.mean([bootstrap.ratio(weights @ (mask * found), weights @ mask) for mask in masks], 0)


def _plain(part: Sequence[Held]) -> float | None:
    return sum(one.after for one in part) / len(part) if part else None


def _share(part: Sequence[Held], seed: int) -> Interval | None:
    if not part:
        return None
    return bootstrap.interval(bootstrap.share([one.after for one in part]), [one.group for one in part], seed=seed)


def _lower(part: Sequence[Held], seed: int) -> Interval | None:
    """Return the lower of the shares of the two labels, on the same resamples."""
    unsafe, after = np.array([one.unsafe for one in part]), np.array([one.after for one in part])
    if not part or unsafe.all() or not unsafe.any():
        return _share(part, seed)

    def one_class(chosen: metrics.Bools) -> bootstrap.Figure:
        mask, hits = chosen.astype(float), (chosen & after).astype(float)
        return lambda weights: bootstrap.ratio(weights @ hits, weights @ mask)

    lower = bootstrap.lower_of(one_class(unsafe), one_class(~unsafe))
    return bootstrap.interval(lower, [one.group for one in part], seed=seed)


def swapped_calibration(found: Sequence[Answered]) -> Calibration | None:
    """Return the calibration of scores under exchanged policies (the sides after); None without any."""
    chosen = _swapped(found)
    return metrics.calibration(labels_of(chosen), scores_of(chosen)) if chosen else None


def swapped_error(found: Sequence[Answered], seed: int) -> Interval | None:
    """Return the error of that calibration with its interval."""
    chosen = _swapped(found)
    if not chosen:
        return None
    figure = bootstrap.calibration_error(labels_of(chosen), scores_of(chosen))
    return bootstrap.interval(figure, [one.group for one in chosen], seed=seed)


def _swapped(found: Sequence[Answered]) -> list[Answered]:
    return [one for one in found if SWAPPED in one.name and one.score is not None and not one.place.endswith("/0")]
