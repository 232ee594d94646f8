"""Sealing keys of one worker: one for each subject, bounded, acknowledged before they count, dropped by an erasure."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any, cast

import pytest

from tests.support.streaming import MemoryDelivery, record, state_with
from worker.config import Settings
from worker.digests import Digests
from worker.erasure.records import Erasure, ErasureState
from worker.erasure.subjects import Names, Subject, record_subject
from worker.errors import ConfigError, WorkerError, WrongDigestKey
from worker.records import encode
from worker.secret import Secret
from worker.stream.delivery import Delivery
from worker.stream.sealer import Sealer

DIGESTS = Digests(Secret("not a real secret, but long enough"))
ALICE, BOB, CAROL = (Subject("author", "acme", name) for name in ("alice", "bob", "carol"))


class KeyDelivery(MemoryDelivery):
    """A delivery of keys into a list."""

    trouble: str | None = None
    waiting_s = 0.0

    async def close(self, timeout_s: float) -> None:
        """Do nothing."""


def rig(**settings: Any) -> tuple[Sealer, KeyDelivery, list[WorkerError]]:
    """Build a sealer that knows every erasure up to now, of which there is none."""
    delivery, failures = KeyDelivery(), list[WorkerError]()
    chosen = Settings(**settings)
    counter = state_with().metrics.subject_keys
    return Sealer(chosen, DIGESTS, cast("Delivery", delivery), counter, failures.append), delivery, failures


def erasure_of(subject: Subject, timestamp: int, digests: Digests = DIGESTS, state: ErasureState = "begun") -> Any:
    """Build the beginning of an erasure, or another state, as it is read from ``erasures``."""
    said = Erasure(
        erasure_id="e",
        state=state,
        subject=Names(digests).name(subject),
        kind=subject.kind,
        tenant_id=subject.tenant_id,
        by="dana",
        reason=None,
        at=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
    )
    return record(0, encode(said), timestamp=timestamp)


async def test_each_subject_has_one_key_while_it_is_held() -> None:
    """The same subject, the same key; beyond the bound the one that was not used for longest gets another."""
    sealer, delivery, _ = rig(subject_keys_held=2)
    first = sealer.key(ALICE, 1)
    assert sealer.key(ALICE, 2) == first
    assert sealer.key(BOB, 1) != first
    sealer.key(ALICE, 3)
    sealer.key(CAROL, 1)
    assert sealer.key(ALICE, 4) == first
    await sealer.published()
    again = sealer.key(BOB, 2)
    await sealer.published()

    rows = [row for _, row in delivery.written]
    assert len(rows) == 4
    assert len({row.key for row in rows}) == 4
    assert (rows[-1].key or b"").endswith(again.id.encode())
    assert not any(b"alice" in (row.key or b"") + (row.value or b"") for row in rows)
    await sealer.stop()


async def test_a_record_of_nobody_pushes_nobody_out() -> None:
    """Its key is made, published, and not held."""
    sealer, delivery, _ = rig(subject_keys_held=1)
    first = sealer.key(ALICE, 1)
    sealer.key(record_subject("0/1"), 1)
    assert sealer.key(ALICE, 2) == first
    await sealer.published()

    assert len(delivery.written) == 2
    await sealer.stop()


async def test_nothing_counts_before_its_key_is_acknowledged() -> None:
    """Waiting ends with the acknowledgement, and not before; what is asked for later does not hold it up."""
    sealer, delivery, _ = rig()
    delivery.gate.clear()
    sealer.key(ALICE, 1)
    waiting = asyncio.create_task(sealer.published())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    delivery.gate.set()
    await asyncio.wait_for(waiting, 5)

    assert delivery.topics() == ["subject-keys"]
    await asyncio.wait_for(sealer.published(), 5)
    await sealer.stop()


async def test_an_erased_subject_gets_no_use_out_of_its_key() -> None:
    """Older words go under a key that is published as erased, later ones under a new key that can be read."""
    sealer, delivery, _ = rig()
    before = sealer.key(ALICE, 50)
    sealer._hear(erasure_of(ALICE, 100))
    late, later = sealer.key(ALICE, 100), sealer.key(ALICE, 101)
    await sealer.published()

    assert len({before.id, late.id, later.id}) == 3
    assert sealer.key(ALICE, 60) == late
    published = {
        (row.key or b"").decode().partition("/")[2]: json.loads(row.value or b"") for _, row in delivery.written
    }
    assert published[late.id]["key"] is None
    assert published[late.id]["erased_at"] is not None
    assert published[later.id]["key"] is not None
    await sealer.stop()


async def test_a_key_that_an_erasure_takes_on_its_way_seals_nothing_after_it() -> None:
    """What is sent between beginning and end has a key that is written over; what is sent after the end another."""
    sealer, _, _ = rig()
    sealer._hear(erasure_of(ALICE, 100))
    between = sealer.key(ALICE, 101)
    sealer._hear(erasure_of(ALICE, 110, state="done"))

    assert sealer.key(ALICE, 120) != between
    await sealer.stop()


async def test_who_is_held_keeps_a_key_that_can_be_read() -> None:
    """A hold under another ``digest_key`` ends nobody, and one of ours voids a beginning after it."""
    sealer, delivery, _ = rig()
    other = Digests(Secret("quite another secret of somebody else"))
    for said in (
        erasure_of(ALICE, 90, other, state="held"),
        erasure_of(ALICE, 91, state="held"),
        erasure_of(ALICE, 100),
    ):
        sealer._hear(said)
    sealer.key(ALICE, 50)
    await sealer.published()

    assert json.loads(delivery.written[0][1].value or b"")["key"] is not None
    await sealer.stop()


async def test_trouble_is_named_until_erasures_are_known() -> None:
    """A worker that does not know who was erased reads no messages, and one that cannot publish keys neither."""
    sealer, delivery, _ = rig()
    found = [sealer.trouble]
    sealer._reading = None
    found.append(sealer.trouble)
    delivery.trouble = "refused"
    found.append(sealer.trouble)
    delivery.waiting_s = 60.0
    found.append(sealer.trouble)

    assert found == [
        "moderation.erasures is being read",
        None,
        "refused",
        "moderation.subject-keys has not taken a key for 60 s",
    ]
    await sealer.stop()


async def test_what_ends_it_ends_who_waits() -> None:
    """A key of another ``digest_key`` is told to the worker, and raised where somebody waits."""
    sealer, delivery, failures = rig()
    delivery.gate.clear()
    sealer.key(ALICE, 1)
    with pytest.raises(WrongDigestKey):
        sealer._hear(erasure_of(ALICE, 1, Digests(Secret("quite another secret of somebody else"))))
    sealer._fail(WrongDigestKey("x"))

    assert [type(one) for one in failures] == [WrongDigestKey]
    for waiting in (sealer.ready(), sealer.published()):
        with pytest.raises(WrongDigestKey):
            await asyncio.wait_for(waiting, 5)
    await sealer.stop()


def test_a_state_without_a_secret_is_refused() -> None:
    """Whoever would seal without ``digest_key`` does not start."""
    with pytest.raises(ConfigError, match="erasure = on needs a secret"):
        state_with(erasure="on")
