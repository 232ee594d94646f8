"""Which header of a message gets into other topics."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support import planted
from worker.trace_context import HEADER, passed_on

GOOD: Final = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_context_is_passed_on() -> None:
    """The first one, and nothing beside it."""
    assert passed_on([planted.HEADER, (HEADER, GOOD), (HEADER, b"another")]) == [(HEADER, GOOD)]


@pytest.mark.parametrize(
    "value",
    [None, b"", planted.EMAIL.encode(), GOOD + b"-" + planted.NAME.encode(), GOOD.upper(), GOOD + b"\n", b"\xff" * 55],
    ids=["null", "empty", "an address", "more behind it", "capitals", "a line's end", "no text"],
)
def test_anything_else_stays_with_the_message(value: bytes | None) -> None:
    """Whoever sends messages cannot write into headers of verdicts and traces."""
    assert passed_on([(HEADER, value)]) == []
