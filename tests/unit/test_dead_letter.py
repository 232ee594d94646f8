"""What a dead letter adds to the record that it keeps."""

from __future__ import annotations

import datetime as dt

from worker.dead_letter import (
    LOST_STAGE,
    MAX_DETAIL_CHARS,
    MAX_ORIGINALS_BYTES,
    OURS,
    Failure,
    headers,
    lost_headers,
    lost_run,
    split,
)
from worker.errors import DecodeError, OffsetGone, PolicyInvalid
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


def test_headers_that_grow_are_left_out() -> None:
    """A name that is no UTF-8 takes four letters a byte and its bytes once more: above the limit the letter says so."""
    failure = Failure(stage="decode", error="E", detail="x" * 10_000)
    names = [("\udcff" * (MAX_ORIGINALS_BYTES // 4), b"1"), ("fine", b"2")]
    made = headers(names, failure, SOURCE, AT)
    assert {name for name, _ in made} == OURS - {"raw_header_name"}
    assert split(made) == ([], made)
    detail = dict(made)["error_detail"] or b""
    assert len(detail) == MAX_DETAIL_CHARS
    assert detail.endswith(b"; its headers are left out: escaped they would be above the limit")


def test_headers_of_the_largest_message_stay() -> None:
    """What fits into a message of 2 MiB as it is fits into its dead letter."""
    plain = [("a" * 1_000_000, b"b" * 1_000_000)]
    assert headers(plain, Failure(stage="s", error="E", detail=""), SOURCE, AT)[:1] == plain


def test_one_letter_speaks_for_a_run_of_lost_messages() -> None:
    """From its source's offset to the end; the time is there only where somebody knew it."""
    source = Source(topic="t.messages", partition=2, offset=10, timestamp=None)
    made = lost_headers(Failure.of(LOST_STAGE, OffsetGone("gone")), source, 20, AT)
    assert lost_run(made) == ("t.messages", 2, 10, 20)
    assert "source_timestamp" not in dict(made)


def test_no_producer_can_declare_a_loss() -> None:
    """Headers of these names on a message that is poison stay its own: the stage of its letter is ours."""
    forged = [("source_offset_end", b"99"), ("stage", b"retention")]
    made = headers(forged, Failure.of("decode", DecodeError("text", "a string")), SOURCE, AT)
    assert lost_run(made) is None


def test_a_broken_declaration_is_none() -> None:
    """Without its end, or with one that is no number."""
    said = dict(lost_headers(Failure.of(LOST_STAGE, OffsetGone("gone")), SOURCE, 20, AT))
    for end in (None, b"", b"x"):
        assert lost_run([*said.items(), ("source_offset_end", end)]) is None
