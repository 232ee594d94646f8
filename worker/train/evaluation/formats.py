"""What every other figure is read against: does the model write verdicts by itself, and does it repeat itself? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from worker.judge.judgement import Judgement
from worker.judge.parse import Reading
from worker.train.evaluation.judging import Answered


class Format(Struct, frozen=True, kw_only=True):
    """Free calls, read by the parser that serves, beside constrained judgements of the same prompts.

    Attributes:
        rows: how many.
        unparsed: share of free calls without a verdict (cut ones among them).
        statuses: of the free calls.
        agreement: share of all rows for which both give the same label.
        agreement_parsed: the same over free calls with a verdict; None without any.

    """

    rows: int
    unparsed: float
    statuses: dict[str, int]
    agreement: float
    agreement_parsed: float | None


class Repeated(Struct, frozen=True, kw_only=True):
    """The same rows judged twice, in another order and with fewer at once.

    ``flips``: share whose label differs; ``max_score_change``: the largest difference of scores.
    """

    rows: int
    flips: float
    max_score_change: float


def free_format(free: Sequence[Reading], judged: Sequence[Judgement]) -> Format | None:
    """Compare free calls with constrained ones, row by row; None without rows."""
    if not free:
        return None
    same = [one.model_label == other.model_label for one, other in zip(free, judged, strict=True)]
    parsed = [one.model_label is not None for one in free]
    agreed = sum(hit for hit, has in zip(same, parsed, strict=True) if has)
    return Format(
        rows=len(free),
        unparsed=1 - sum(parsed) / len(free),
        statuses=dict(sorted(Counter(one.status for one in free).items())),
        agreement=agreed / len(free),
        agreement_parsed=agreed / sum(parsed) if any(parsed) else None,
    )


def repeated(first: Sequence[Answered], second: Sequence[Answered]) -> Repeated | None:
    """Compare two runs over the same questions, whatever their order; None without rows."""
    if not first:
        return None
    again = {one.key: one for one in second}
    pairs = [(one, again[one.key]) for one in first]
    changes = [
        abs(one.score - other.score) for one, other in pairs if one.score is not None and other.score is not None
    ]
    return Repeated(
        rows=len(pairs),
        flips=sum(one.label != other.label for one, other in pairs) / len(pairs),
        max_score_change=max(changes, default=0.0),
    )


def unparsed_as_served(found: Sequence[Answered]) -> int:
    """Count verdicts that could not be read; the grammar makes this 0."""
    return sum(one.status == "unparseable" for one in found)
