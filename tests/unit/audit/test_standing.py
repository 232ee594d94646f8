"""Which verdicts stand, and which are meant."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from tests.support.verdicts import some_verdict
from worker.audit.standing import Superseded, Wanted, live_verdict
from worker.errors import UsageError
from worker.records import Source, Verdict, encode

MESSAGES = "moderation.messages"
VERDICT = structs.replace(some_verdict(), source=Source(topic=MESSAGES, partition=3, offset=5, timestamp=1000))


def record(value: bytes | None, partition: int = 3) -> Any:
    """Return a record of ``verdicts``."""
    return SimpleNamespace(value=value, partition=partition)


def test_what_is_replaced_is_known_again() -> None:
    """Ids that were noted are found, others are not, whatever the order, and none is needed."""
    ids = [os.urandom(16).hex() for _ in range(2000)]
    some = Superseded()
    for one in ids[:1000]:
        some.add(one)
    some.add("no id")
    some.sort()

    assert len(some) == 1000
    assert all(one in some for one in ids[:1000])
    assert not any(one in some for one in ids[1000:])
    assert "no id" not in some
    assert ids[0] not in Superseded()


def test_only_live_verdicts_of_their_own_partition_count() -> None:
    """Replays, shadows, other sources and what is no verdict are passed over; a superseding one is a live one."""

    def seen(**fields: Any) -> Verdict | None:
        return live_verdict(record(encode(structs.replace(VERDICT, **fields))), MESSAGES)

    assert seen() == VERDICT
    assert seen(supersedes="0" * 32) is not None
    assert seen(mode="shadow", run_id="d") is None
    assert seen(run_id="r") is None
    assert seen(source=structs.replace(VERDICT.source, topic="other")) is None
    assert live_verdict(record(encode(VERDICT), partition=1), MESSAGES) is None
    assert [live_verdict(record(raw), MESSAGES) for raw in (None, b"", b"{", b"[]", b"\xff")] == [None] * 5


def test_fields_that_are_no_verdicts_are_dropped() -> None:
    """What somebody adds to a verdict never gets into an export."""
    raw = encode(VERDICT)[:-1] + b',"text":"secret","author_id":"dana"}'

    assert live_verdict(record(raw), MESSAGES) == VERDICT


@pytest.mark.parametrize(
    "wanted, included",
    [
        (Wanted(), True),
        (Wanted(from_ms=1000), True),
        (Wanted(from_ms=1001), False),
        (Wanted(to_ms=1000), False),
        (Wanted(to_ms=1001), True),
        (Wanted(tenant_id="t"), True),
        (Wanted(tenant_id="other"), False),
    ],
)
def test_time_and_tenant_choose(wanted: Wanted, *, included: bool) -> None:
    """The first time is included, the second is not."""
    assert wanted.includes(VERDICT) is included


def test_a_verdict_without_a_time_is_never_meant() -> None:
    """There is no telling when it was."""
    assert not Wanted().includes(structs.replace(VERDICT, source=structs.replace(VERDICT.source, timestamp=None)))


def test_an_end_before_the_start_is_refused() -> None:
    """As for every range of an audit."""
    with pytest.raises(UsageError, match="ends before it begins"):
        Wanted(from_ms=2, to_ms=1)
