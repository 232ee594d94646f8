"""Which records of the outcome topics are whose outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.streaming import open_ledger, record
from worker.errors import DecodeError
from worker.stream.ledger import MessageKey, OutcomeTopic, Place, Published
from worker.stream.outputs import dead_letter_of
from worker.stream.readback import _outcome

MESSAGES = "moderation.messages"
SOURCE = {"topic": MESSAGES, "partition": 0, "offset": 5, "timestamp": 7}
VERDICT = {"message_id": "m", "mode": "live", "run_id": None, "source": SOURCE}


def found(
    at: int, value: object, topic: OutcomeTopic = "verdicts", **fields: Any
) -> list[tuple[MessageKey, Published]]:
    """Return what a read-back makes of a record at position ``at``."""
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return list(_outcome(record(at, raw, **fields), topic, MESSAGES))


def test_a_live_verdict_is_an_outcome() -> None:
    """It is known by offset and timestamp of its message, and remembers the message's id."""
    assert found(9, VERDICT) == [((5, 7), Published(Place("verdicts", 9), "m"))]


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": "replay", "run_id": "r"},
        {"mode": "shadow"},
        {"run_id": "r"},
        {"supersedes": "v"},
        {"source": SOURCE | {"topic": "other.messages"}},
        {"source": SOURCE | {"partition": 1}},
        {"source": SOURCE | {"offset": None}},
        {"message_id": 3},
    ],
    ids="-".join,
)
def test_other_verdicts_are_not(changed: dict[str, Any]) -> None:
    """Replays, shadows, corrections and verdicts of other sources are no outcomes of this partition."""
    assert found(9, VERDICT | changed) == []


@pytest.mark.parametrize("value", [b"", b"no json", b"[]", b"\xff", None])
def test_what_no_worker_wrote_is_nobodys_outcome(value: bytes | None) -> None:
    """A foreign record in the topic changes nothing."""
    assert found(9, value) == []


def test_a_dead_letter_is_an_outcome() -> None:
    """It is known by its added headers; those of the message itself do not count."""
    theirs = [("source_offset", b"99"), ("source_topic", b"x")]
    letter = dead_letter_of(record(5, b"poison", theirs), open_ledger(5), "decode", DecodeError("", "x"))
    headers = letter.row.headers

    assert found(3, b"poison", "dead-letters", headers=headers) == [
        ((5, 1_700_000_000_000), Published(Place("dead-letters", 3), None))
    ]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("source_topic", b"moderation.policies"), ("source_partition", b"0"), ("source_offset", b"5")],
        [("source_topic", MESSAGES.encode()), ("source_partition", b"0"), ("source_offset", b"5")],
        [("source_topic", None), ("source_partition", b"x"), ("source_offset", b"5"), ("source_timestamp", b"7")],
    ],
    ids=["none", "a policy's", "no timestamp", "not ours"],
)
def test_other_dead_letters_are_not(headers: list[tuple[str, bytes | None]]) -> None:
    """A refused policy's dead letter, or one without our headers, is no message's outcome."""
    assert found(3, b"poison", "dead-letters", headers=headers) == []
