"""A process that stood still."""

from __future__ import annotations

from tests.support.streaming import NOTHING, state_with
from worker.stream.stall import StallGuard


class Clock:
    """A clock that stands still until it is told otherwise."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time it was told."""
        return self.now_s


def test_silence_of_half_a_session_is_a_stall() -> None:
    """Up to half a session nothing happens; beyond it the partitions may be someone else's."""
    clock = Clock()
    guard = StallGuard(10.0, clock)
    clock.now_s = 5.0

    assert guard.stalled_s() == 0.0

    clock.now_s = 5.5

    assert guard.stalled_s() == 5.5

    guard.beat()

    assert guard.stalled_s() == 0.0


def test_a_stall_closes_every_ledger_at_once() -> None:
    """Whoever notices first gives all partitions away before anything else is published."""
    state = state_with(session_timeout_s=10.0)
    clock = Clock()
    state.guard = StallGuard(10.0, clock)
    ledger = state.ledger.open(0, start=0, bounds=NOTHING, ends=NOTHING, published={})
    state.check_stall()

    assert list(state.ledger) == [ledger]

    clock.now_s = 6.0
    state.check_stall()

    assert ledger.closed
    assert len(state.ledger) == 0
    assert state.stalled.is_set()


def test_a_group_that_does_not_answer_is_a_stall_too() -> None:
    """A worker that runs on while its network is cut gives its partitions away before the group does."""
    state = state_with(session_timeout_s=10.0)
    clock = Clock()
    state.guard = StallGuard(10.0, clock)
    ledger = state.ledger.open(0, start=0, bounds=NOTHING, ends=NOTHING, published={})
    state.guard.joined()
    for second in range(1, 8):
        clock.now_s = float(second)
        state.check_stall()

    assert list(state.ledger) == [ledger]

    clock.now_s = 8.0
    state.check_stall()

    assert ledger.closed
    assert state.must_not_send()


def test_an_answer_counts_from_when_it_was_asked_for() -> None:
    """What the network held back for long says nothing about now."""
    clock = Clock()
    guard = StallGuard(10.0, clock)
    guard.joined()
    clock.now_s = 9.0
    guard.heard(1.0)

    assert guard.silent_s() == 8.0

    guard.heard(9.0)

    assert guard.silent_s() == 0.0


def test_silence_means_nothing_to_one_who_holds_no_partitions() -> None:
    """While the group is joined there are no heartbeats, and a late answer to an old one changes nothing."""
    clock = Clock()
    guard = StallGuard(10.0, clock)
    guard.joined()
    guard.left()
    guard.heard(0.0)
    clock.now_s = 60.0

    assert guard.silent_s() == 0.0
