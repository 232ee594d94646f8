"""What is measured: ratios of rates that were taken in turns, peaks of memory, and the report of a run. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from statistics import median
from typing import Final

from msgspec import Struct

#: What each ratio says, for people.
MEANINGS: Final[dict[str, str]] = {
    "e2e_over_judge": "Kafka to Kafka, over the same judge called directly with everything at once",
    "e2e_over_single": "Kafka to Kafka, over a consumer that judges one message at a time",
    "data_plane_over_bare": "the data plane with a judge that costs nothing, over a bare aiokafka loop",
    "audit_over_bare": "rsafe audit verify over everything there is, over a bare aiokafka consumer of the same records",
    "peak_rss_4n_over_n": "peak memory at four times as many messages, over peak memory",
}


class Ratio(Struct, frozen=True, kw_only=True):
    """The median of the ratios of pairs, with the lowest and the highest of them."""

    name: str
    ratio: float
    low: float
    high: float


class Comparison(Struct, frozen=True, kw_only=True):
    """A ratio and what it was made from: one rate of each side per repeat, in ``unit``."""

    result: Ratio
    unit: str
    upper: tuple[float, ...]
    lower: tuple[float, ...]


class Peak(Struct, frozen=True, kw_only=True):
    """Peak resident memory in MiB: of the whole process, and of what it had before the first message."""

    messages: int
    idle_mib: float
    peak_mib: float


class Machine(Struct, frozen=True, kw_only=True):
    """Where it was measured."""

    processor: str
    cores: int
    memory_gib: float
    system: str


class Memory(Struct, frozen=True, kw_only=True):
    """Memory in MiB: peaks of the data plane alone, and what worker and engine hold while they judge."""

    peaks: tuple[Peak, ...] = ()
    worker_peak_mib: float | None = None
    engine_mib: float | None = None


class Report(Struct, frozen=True, kw_only=True):
    """The whole file."""

    date: dt.datetime
    seed: int
    shape: str
    engine: str
    model: str | None
    engine_messages: int
    plane_messages: int
    repeats: int
    machine: Machine
    versions: dict[str, str]
    comparisons: tuple[Comparison, ...]
    memory: Memory


def compare(name: str, unit: str, upper: Sequence[float], lower: Sequence[float]) -> Comparison:
    """Divide the values of each repeat, taken right after one another, and summarise.

    Args:
        name: of the ratio.
        unit: of the values.
        upper: numerators, in the order of the repeats.
        lower: denominators, in the same order.

    Raises:
        ValueError: the two are not equally long, or empty.

    """
    ratios = [above / below for above, below in zip(upper, lower, strict=True)]
    if not ratios:
        text = "at least one repeat is needed for a ratio"
        raise ValueError(text)
    result = Ratio(name=name, ratio=round(median(ratios), 3), low=round(min(ratios), 3), high=round(max(ratios), 3))
    return Comparison(result=result, unit=unit, upper=tuple(upper), lower=tuple(lower))
