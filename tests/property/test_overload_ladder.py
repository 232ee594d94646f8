"""The overload ladder: in order, only where its limits were reached, never lower for longer waits, and back down."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import hypothesis.strategies as st
from hypothesis import given

from worker.stream.overload import Ladder, Limit

SETTLE_S: Final = 5.0
ALL: Final = (Limit("short_reasoning", 10.0), Limit("label_only", 20.0), Limit("hold", 40.0))
#: Any part of the ladder may be declared.
ladders = st.sampled_from([ALL, ALL[:1], ALL[1:], ALL[2:], (ALL[0], ALL[2])])
waits = st.one_of(st.floats(0, 60), st.sampled_from([0.0, 4.9, 5.0, 9.9, 10.0, 19.9, 20.0, 40.0]))
#: Pauses between messages, and how long each waited.
histories = st.lists(st.tuples(st.floats(0, 12), waits), max_size=80)


def climbed(limits: tuple[Limit, ...], history: list[tuple[float, float]]) -> list[tuple[float, float, int]]:
    """Return the moment, the wait and the level of each message."""
    now_s = 100.0
    ladder = Ladder(limits, SETTLE_S, now_s)
    found = []
    for pause_s, wait_s in history:
        now_s += pause_s
        found.append((now_s, wait_s, ladder.observe(wait_s, now_s)))
    return found


@given(limits=ladders, history=histories)
def test_rungs_are_taken_one_by_one_and_only_at_their_limits(
    limits: tuple[Limit, ...], history: list[tuple[float, float]]
) -> None:
    """Up by one at a time, and only where every wait of the time that it takes was at or above the rung's limit."""
    seen = climbed(limits, history)
    for place, ((_, _, before), (now_s, _, level)) in enumerate(pairwise(seen), start=1):
        assert level - before <= 1
        if level > before:
            rung = limits[level - 1]
            streak = []
            for moment_s, wait_s, _ in reversed(seen[: place + 1]):
                if wait_s < rung.wait_s:
                    break
                streak.append(moment_s)
            assert now_s - streak[-1] >= SETTLE_S * level


@given(limits=ladders, history=histories, more=st.lists(st.floats(0, 30), min_size=80, max_size=80))
def test_longer_waits_never_lead_to_a_lower_rung(
    limits: tuple[Limit, ...], history: list[tuple[float, float]], more: list[float]
) -> None:
    """At the same moments, message by message; a longer wait also leaves no longer rest before it."""
    longer = [(pause_s, wait_s + extra_s) for (pause_s, wait_s), extra_s in zip(history, more, strict=False)]

    lower, higher = climbed(limits, history), climbed(limits, longer)

    assert all(one[2] <= other[2] for one, other in zip(lower, higher, strict=True))


@given(limits=ladders, history=histories, at=st.floats(0, 1, exclude_max=True))
def test_between_its_two_limits_a_rung_is_kept(
    limits: tuple[Limit, ...], history: list[tuple[float, float]], at: float
) -> None:
    """Waits that neither reach the next rung's limit nor fall below half of this one's change nothing: no flutter."""
    steady = [(1.0, limits[0].release_s + at * (limits[0].wait_s - limits[0].release_s))] * 60

    levels = [level for _, _, level in climbed(limits, history + steady)][len(history) :]

    assert len(set(levels[30:])) == 1


@given(limits=ladders, history=histories)
def test_short_waits_lead_back_to_the_ground(limits: tuple[Limit, ...], history: list[tuple[float, float]]) -> None:
    """One rung after the other, and within a settling time for each."""
    calm = [(1.0, 0.0)] * (int(SETTLE_S) * (len(limits) + 1) + 1)

    levels = [level for _, _, level in climbed(limits, history + calm)][len(history) :]

    assert levels[-1] == 0
    assert all(before - 1 <= after <= before for before, after in pairwise(levels[int(SETTLE_S) :]))


@given(limits=ladders, history=histories)
def test_a_pause_in_which_nothing_waited_leads_there_too(
    limits: tuple[Limit, ...], history: list[tuple[float, float]]
) -> None:
    """A tenant that was silent for long enough starts anew."""
    silence = [(SETTLE_S * (len(limits) + 1), 0.0)]

    assert climbed(limits, history + silence)[-1][2] == 0
