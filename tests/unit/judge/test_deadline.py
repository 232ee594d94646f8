"""The deadline of one message, which waits for a hung engine's end."""

from __future__ import annotations

import asyncio

import pytest

from worker.errors import RequestTimeout
from worker.judge.deadline import deadline


async def test_in_time_nothing_happens() -> None:
    """A body that is done in time is left alone."""
    done = False
    async with deadline(30, lambda: 0.0):
        await asyncio.sleep(0)
        done = True

    assert done


async def test_too_late_is_a_timeout() -> None:
    """The body is cancelled and the error names the setting."""
    with pytest.raises(RequestTimeout, match="request_timeout_s"):
        async with deadline(0.05, lambda: 0.0):
            await asyncio.sleep(30)


async def test_a_hung_engine_is_not_the_messages_fault() -> None:
    """While the engine makes no steps the deadline waits; it strikes when the engine goes on."""
    quiet_s = 10.0

    async def engine_goes_on() -> None:
        nonlocal quiet_s
        await asyncio.sleep(0.3)
        quiet_s = 0.0

    going_on = asyncio.create_task(engine_goes_on())
    with pytest.raises(RequestTimeout):
        async with deadline(0.05, lambda: quiet_s):
            await asyncio.sleep(30)

    assert going_on.done()


async def test_what_the_body_raises_comes_through() -> None:
    """Only the deadline's own strike becomes a timeout."""
    with pytest.raises(KeyError):
        async with deadline(5, lambda: 0.0):
            raise KeyError


async def test_cancelling_is_not_a_timeout() -> None:
    """Cancelling from outside stays what it is."""

    async def body() -> None:
        async with deadline(30, lambda: 0.0):
            await asyncio.sleep(30)

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
