"""Up to when a subject is erased: beginnings, ends and holds in the order in which they were written."""

from __future__ import annotations

import datetime as dt

import pytest

from worker.erasure.erased import Erased
from worker.erasure.records import Erasure, ErasureState

_STATES: dict[str, ErasureState] = {"b": "begun", "d": "done", "h": "held", "r": "released"}


def said(what: str) -> Erasure:
    """Build what a state and the number of an erasure stand for, as in ``b1``."""
    return Erasure(
        erasure_id=what[1:],
        state=_STATES[what[0]],
        subject="alice",
        kind="author",
        tenant_id="acme",
        by="dana",
        reason=None,
        at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
    )


@pytest.mark.parametrize(
    "log, until_ms",
    [
        ("", None),
        ("b1", 1),
        ("b1 d1", 1),
        ("b1 d1 b2", 3),
        ("b1 b2", 2),
        ("h b1", None),
        ("h b1 r", None),
        ("h r b1", 3),
        ("b1 h", None),
        ("b1 h r", None),
        ("b1 h r b2", 4),
        ("b1 d1 h", 1),
        ("b1 d1 b2 h", 1),
        ("b1 d1 h b2 r", 1),
        ("b1 b2 d1 h", 1),
        ("b1 h d1", 1),
        ("h b1 r d1", 2),
        ("d1", None),
    ],
)
def test_what_came_first_counts(log: str, until_ms: int | None) -> None:
    """A hold voids the beginnings after it and the unfinished ones before it; what came to its end stands."""
    erased = Erased()
    for at_ms, what in enumerate(log.split(), 1):
        erased.take(said(what), at_ms)

    assert erased.until_ms("alice") == until_ms
    assert erased.until_ms("bob") is None
