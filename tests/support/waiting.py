"""Waiting for a condition, with a deadline; tests never wait for time to pass."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def wait_until(
    condition: Callable[[], Awaitable[T]], timeout_s: float = ..., *, what: str = ..., interval_s: float = ...
) -> T: ...


@overload
async def wait_until(
    condition: Callable[[], T], timeout_s: float = ..., *, what: str = ..., interval_s: float = ...
) -> T: ...


async def wait_until(
    condition: Callable[[], T | Awaitable[T]], timeout_s: float = 30.0, *, what: str = "", interval_s: float = 0.05
) -> T:
    """Return the first true value of ``condition``, a plain or an async callable.

    Raises:
        AssertionError: it stayed false; the text holds ``what`` and the last value.

    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        value: T = await answer if isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            text = f"not within {timeout_s} s: {what or condition} (last value {value!r})"
            raise AssertionError(text)
        await asyncio.sleep(interval_s)
