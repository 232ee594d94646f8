"""Times and offsets as people write them."""

from __future__ import annotations

import pytest

from worker.audit.span import Span, parse_time
from worker.errors import UsageError

NOW_MS = 1_780_000_000_000


@pytest.mark.parametrize(
    "text, time_ms",
    [
        ("2026-05-01T12:00:00Z", 1_777_636_800_000),
        ("2026-05-01T14:00:00.250+02:00", 1_777_636_800_250),
        ("2026-05-01", 1_777_593_600_000),
        ("1777636800000", 1_777_636_800_000),
        ("0", 0),
        ("-90s", NOW_MS - 90_000),
        ("-15m", NOW_MS - 900_000),
        ("-1h", NOW_MS - 3_600_000),
        ("-2d", NOW_MS - 172_800_000),
        ("-1w", NOW_MS - 604_800_000),
        ("-9999w", 0),
    ],
)
def test_a_time_is_read(text: str, time_ms: int) -> None:
    """RFC 3339, milliseconds since 1970, or so long ago; without a zone it is UTC."""
    assert parse_time(text, NOW_MS) == time_ms


@pytest.mark.parametrize("text", ["", "yesterday", "-1y", "1h", "-1.5h", "2026-13-01", "-", "1e3"])
def test_what_is_no_time_says_what_one_looks_like(text: str) -> None:
    """The error shows all three forms."""
    with pytest.raises(UsageError, match=r"is no time; write 2026-.*, milliseconds since 1970, or -1h"):
        parse_time(text, NOW_MS)


def test_offsets_need_their_partition() -> None:
    """They count within one."""
    with pytest.raises(UsageError, match="add --partition"):
        Span(from_offset=3)


@pytest.mark.parametrize("fields", [{"from_ms": 2, "to_ms": 1}, {"partition": 0, "from_offset": 2, "to_offset": 1}])
def test_a_range_does_not_end_before_it_begins(fields: dict[str, int]) -> None:
    """Most likely the two were exchanged."""
    with pytest.raises(UsageError, match="exchange"):
        Span(**fields)
