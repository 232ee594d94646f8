"""Memory budget, waiting after failures, tasks that report, topics that have to be there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from worker.backoff import Backoff
from worker.config import Settings
from worker.errors import EngineDead, WorkerError
from worker.stream.buffer import Buffer
from worker.stream.cluster import missing, twinless
from worker.stream.tasks import spawn

COUNTS = {f"moderation.{name}": 2 for name in ("messages", "verdicts", "traces", "dead-letters")}


def test_the_buffer_counts_messages_and_bytes() -> None:
    """It is full by either, and says when something was given back."""
    buffer = Buffer(Settings(buffer_messages=2, buffer_mib=1))
    buffer.take(10)

    assert (buffer.full, buffer.room) == (False, 1)

    buffer.take(10)

    assert (buffer.full, buffer.room) == (True, 0)

    buffer.give(10)

    assert buffer.changed.is_set()
    assert not buffer.full

    buffer.take(2 * 1024 * 1024)
    buffer.give(10)

    assert (buffer.full, buffer.room) == (True, 0)


async def test_waits_grow_and_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each failure waits longer, up to a limit, with a quarter of jitter; success forgets them."""
    waits: list[float] = []

    async def asked(wait_s: float) -> None:
        waits.append(wait_s)

    # What is asked for, and not how long a busy machine takes to wake up.
    monkeypatch.setattr("worker.backoff.asyncio", SimpleNamespace(sleep=asked))
    backoff = Backoff(first_s=0.01, most_s=0.03)
    for _ in range(4):
        await backoff.wait()

    assert backoff._next_s == 0.03
    assert waits[0] < waits[2]
    assert waits == [pytest.approx(nominal_s, rel=0.25) for nominal_s in (0.01, 0.02, 0.03, 0.03)]

    backoff.reset()

    assert backoff._next_s == 0.01


@pytest.mark.parametrize("error", [EngineDead("gone"), ZeroDivisionError("secret")], ids=["ours", "a bug"])
async def test_a_task_reports_what_it_raises(error: Exception) -> None:
    """No task fails in silence; the text of a foreign error may hold a message and stays out."""
    reported: list[WorkerError] = []

    async def fails() -> None:
        raise error

    task = spawn(fails(), reported.append)
    await asyncio.wait([task])
    await asyncio.sleep(0)

    assert len(reported) == 1
    assert (reported[0] is error) == isinstance(error, WorkerError)
    assert "secret" not in str(reported[0])


async def test_a_cancelled_task_reports_nothing() -> None:
    """Being cancelled is no failure."""
    reported: list[WorkerError] = []
    task = spawn(asyncio.sleep(60), reported.append)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert reported == []


def test_every_topic_of_the_data_plane_is_needed() -> None:
    """What is missing is named in full; policies are somebody else's concern."""
    settings = Settings()

    assert missing(settings, COUNTS) == []
    assert missing(settings, {}) == list(COUNTS)


def test_each_input_partition_needs_its_outputs() -> None:
    """The first output topic without the partition is named."""
    settings = Settings()

    assert twinless(settings, COUNTS, 1) is None
    assert twinless(settings, COUNTS, 2) == "moderation.verdicts"
    assert twinless(settings, COUNTS | {"moderation.verdicts": 3}, 2) == "moderation.traces"
