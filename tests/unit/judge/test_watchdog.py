"""The watchdog: time without a step while there is work, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from worker.judge.watchdog import Watchdog


def watchdog(timeout_s: float = 10.0) -> Watchdog:
    """Make one that is ticked by hand."""
    return Watchdog(timeout_s, lambda: None)


def test_silence_under_work_adds_up() -> None:
    """Ten seconds of ticks without a step are a stall."""
    dog = watchdog()
    dog.began()

    assert [dog.tick(1.0) for _ in range(10)] == [False] * 9 + [True]


def test_a_step_starts_the_count_again() -> None:
    """However long it takes, an engine that steps now and then is well."""
    dog = watchdog()
    dog.began()
    for _ in range(5):
        assert not any(dog.tick(1.0) for _ in range(9))
        dog.stepped()

    assert dog.quiet_s == 0.0


def test_without_work_silence_is_rest() -> None:
    """Time before the first call and after the last one does not count."""
    dog = watchdog()
    assert not any(dog.tick(1.0) for _ in range(50))
    dog.began()
    dog.ended()

    assert not any(dog.tick(1.0) for _ in range(50))


def test_one_of_two_calls_left_is_work() -> None:
    """The end of one call is a sign of life, but the other one still waits."""
    dog = watchdog()
    dog.began()
    dog.began()
    dog.ended()

    assert any(dog.tick(1.0) for _ in range(11))


def test_a_pause_of_this_process_is_not_the_engines() -> None:
    """A tick that comes an hour late counts as two ticks: this process stood still, not only the engine."""
    dog = watchdog()
    dog.began()

    assert not dog.tick(3600.0)
    assert dog.quiet_s == pytest.approx(2.0)


async def test_it_calls_once_and_ends() -> None:
    """On a real loop a stall is noticed about when it should be."""
    stalls = []
    dog = Watchdog(0.2, lambda: stalls.append(asyncio.get_running_loop().time()))
    dog.began()
    began_s = asyncio.get_running_loop().time()

    await asyncio.wait_for(dog.run(), timeout=10)

    assert len(stalls) == 1
    assert stalls[0] - began_s >= 0.1
