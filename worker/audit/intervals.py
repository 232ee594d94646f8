"""Shares and differences of shares with their 95 % intervals. Pure."""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

#: The standard normal's 97.5 % quantile.
Z_95: Final = 1.959963984540054


class Interval(Struct, frozen=True, kw_only=True):
    """An estimate and its interval; the estimate is null where there is nothing to estimate from."""

    value: float | None
    low: float
    high: float


def interval(count: int, of: int) -> Interval:
    """Return ``count / of`` with Wilson's score interval (Wilson, 1927); all from 0 to 1 where ``of`` is 0.

    It stays inside 0 to 1 and says something at 0 and at all, where the usual one has no width.
    """
    if of == 0:
        return Interval(value=None, low=0.0, high=1.0)
    share = count / of
    weight = Z_95 * Z_95 / of
    middle = (share + weight / 2) / (1 + weight)
    half = Z_95 / (1 + weight) * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    # At the ends rounding alone keeps them from 0 and 1.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == of else min(1.0, middle + half)
    return Interval(value=share, low=low, high=high)


def difference(count: int, of: int, other_count: int, other_of: int) -> Interval:
    """Return how much larger the first share is than the other (Newcombe, 1998, method 10)."""
    first, other = interval(count, of), interval(other_count, other_of)
    if first.value is None or other.value is None:
        return Interval(value=None, low=-1.0, high=1.0)
    value = first.value - other.value
    low = math.hypot(first.value - first.low, other.high - other.value)
    high = math.hypot(first.high - first.value, other.value - other.low)
    return Interval(value=value, low=max(-1.0, value - low), high=min(1.0, value + high))
