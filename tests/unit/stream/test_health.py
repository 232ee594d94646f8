"""What a worker says of itself."""

from __future__ import annotations

from worker.stream.health import STALL_LIMIT_S, Health


class Clock:
    """A clock that stands still until it is told otherwise."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time it was told."""
        return self.now_s


def test_start_up_names_its_stage() -> None:
    """Before it runs, a worker is not ready and says what it is busy with."""
    health = Health()
    health.entering("policies are being read")

    assert health.unready() == ["policies are being read"]


def test_readiness_asks_its_source_each_time() -> None:
    """Once it runs, the reasons are those of the moment."""
    health, reasons = Health(), ["Kafka is away"]
    health.running(lambda: list(reasons))

    assert health.unready() == ["Kafka is away"]

    reasons.clear()

    assert health.unready() == []


def test_it_says_what_is_left_out() -> None:
    """Overload makes nobody unready: messages are judged, with less; it stands beside the reasons."""
    health = Health()
    health.running(list)
    undeclared = health.readiness()
    health.running(list, lambda: {"hold": 2})

    assert undeclared == {"ready": True, "reasons": []}
    assert health.readiness() == {"ready": True, "reasons": [], "overload": {"hold": 2}}


def test_stopping_is_never_ready() -> None:
    """A worker that stops is not ready, whatever its parts say."""
    health = Health()
    health.running(list)
    health.stopping()

    assert health.unready() == ["stopping"]


def test_a_silent_main_loop_is_not_alive() -> None:
    """Liveness follows the heartbeat of the main loop."""
    clock = Clock()
    health = Health(clock)
    clock.now_s = STALL_LIMIT_S - 1

    assert health.alive()

    clock.now_s = STALL_LIMIT_S + 1

    assert not health.alive()

    health.beat()

    assert health.alive()
