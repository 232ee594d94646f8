"""What a dead letter adds to the record that it keeps."""

from __future__ import annotations

import datetime as dt

from worker.dead_letter import MAX_DETAIL_CHARS, Failure, headers
from worker.errors import PolicyInvalid
from worker.records import Source

SOURCE = Source(topic="moderation.policies", partition=0, offset=12, timestamp=1_700_000_000_123)
AT = dt.datetime(2025, 6, 1, 14, 0, 0, 5000, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_ours_follow_the_originals() -> None:
    """Original headers stay byte for byte, null values and our own names included; the last of a name counts."""
    originals = [("traceparent", b"00-ab"), ("x", None), ("error", b"theirs")]
    made = headers(originals, Failure.of("policy", PolicyInvalid("version", "an integer")), SOURCE, AT)
    assert made[:3] == originals
    assert dict(made[3:]) == {
        "error": b"PolicyInvalid",
        "error_detail": b"version: expected an integer",
        "stage": b"policy",
        "attempts": b"1",
        "source_topic": b"moderation.policies",
        "source_partition": b"0",
        "source_offset": b"12",
        "source_timestamp": b"1700000000123",
        "failed_at": b"2025-06-01T12:00:00.005Z",
    }


def test_an_error_text_has_a_limit() -> None:
    """A dead letter stays close to the size of its record."""
    made = dict(headers([], Failure(stage="s", error="E", detail="x" * 10_000), SOURCE, AT))
    assert made["error_detail"] == b"x" * MAX_DETAIL_CHARS
