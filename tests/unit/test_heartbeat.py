"""Heartbeats that a worker hears of."""

from __future__ import annotations

from types import SimpleNamespace

from worker import kafka


async def test_only_answered_heartbeats_are_heard_of() -> None:
    """The listener is told of each heartbeat that the group answered, and the answer goes on to the client."""
    answers = [True, False, True]

    async def beat() -> bool:
        return answers.pop(0)

    coordinator = SimpleNamespace(_do_heartbeat=beat)
    heard: list[float] = []
    kafka.on_heartbeat(SimpleNamespace(_coordinator=coordinator), heard.append)

    assert [await coordinator._do_heartbeat() for _ in range(3)] == [True, False, True]
    assert len(heard) == 2
    assert heard == sorted(heard)
