"""How the cost of a call grows with its input: ratios of CPU time or memory, so that a busy machine is no matter."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Final

#: Below this a measurement is mostly noise, and nothing is slow.
_NOISE_S: Final = 0.02
_ATTEMPTS: Final = 3


def growth(call: Callable[[str], object], text: str, times: int = 4) -> float:
    """Return what a text costs over a ``times``-th of it: about ``times`` where time grows with the length only.

    Quadratic time gives ``times`` squared. What takes next to no time counts as growing like its length.
    """
    short = text[: len(text) // times]
    # In turns, so that what else the machine does meanwhile meets both.
    costs = [(_cost_s(call, text), _cost_s(call, short)) for _ in range(_ATTEMPTS)]
    long_s, short_s = (min(column) for column in zip(*costs, strict=True))
    return float(times) if long_s < _NOISE_S else long_s / max(short_s, _NOISE_S / times)


def _cost_s(call: Callable[[str], object], text: str) -> float:
    """Return the CPU time of a call, in seconds."""
    began_s = time.process_time()
    call(text)
    return time.process_time() - began_s


async def peak_bytes(call: Awaitable[object]) -> int:
    """Return the most that Python held at once for a call, in bytes, above what it held before."""
    tracemalloc.start()
    try:
        await call
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
