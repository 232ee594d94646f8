"""What a soak sends, and how growth is read from its samples."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest

from worker.bench.results import Machine
from worker.bench.soak_results import Audit, Sample, SoakReport, blocks_per_message, growth, markdown
from worker.bench.soak_traffic import LASTING, changes, floor, records
from worker.errors import PolicyInvalid, RecordError
from worker.marked import insert
from worker.policy.scope import parse
from worker.records import decode_message, decode_policy


def sample(number: int, blocks_each: float = 0.0) -> Sample:
    """Build a sample; ``blocks_each`` is left behind by each message."""
    messages = 1000 * (number + 1)
    return Sample(
        messages=messages, rss_bytes=100.0 * 2**20, heap_blocks=1000 + blocks_each * messages, open_fds=20, tasks=30
    )


def test_a_leak_shows_and_a_worker_at_rest_does_not_grow() -> None:
    """Equal samples have a ratio of 1; one block for each message is found as one block for each message."""
    flat = [sample(number) for number in range(8)]
    leaking = [sample(number, 1.0) for number in range(8)]

    assert [one.ratio for one in growth(flat)] == [1.0] * 4
    assert blocks_per_message(flat) == 0
    assert blocks_per_message(leaking) == 1
    assert growth(leaking)[1].ratio > 1.5


def test_the_first_quarter_says_nothing() -> None:
    """What fills caches at the start is no growth; fewer than four samples cannot tell."""
    warm = [sample(0, -0.5), sample(1, -0.2), *(sample(number) for number in range(2, 8))]

    assert growth(warm)[1].ratio == 1.0
    with pytest.raises(ValueError, match="4 at least"):
        growth(warm[:3])


def test_rounds_share_no_names() -> None:
    """Messages of two rounds have other ids and conversations; equal seeds give equal records."""
    first, second = ([one.key for one in records(number, 500, 1) if one.value] for number in (1, 2))

    assert set(first) & set(second) <= {b"poison"}
    assert list(records(1, 50, 1)) == list(records(1, 50, 1))
    assert list(records(1, 50, 1)) != list(records(1, 50, 2))


def test_a_round_has_messages_of_every_kind() -> None:
    """Messages, poison, null values, strangers and tags are among the records of a round."""
    kinds: Counter[str] = Counter()
    for one in records(3, 2000, 1):
        try:
            message = None if one.value is None else decode_message(one.value)
        except RecordError:
            kinds["poison"] += 1
            continue
        kinds["null" if message is None else message.tenant_id.partition("-")[0]] += 1
        kinds["tagged"] += message is not None and "[" in message.text

    assert set(kinds) == {"poison", "null", "lasting", "passing", "stranger", "tagged"}


def test_policies_come_change_and_go() -> None:
    """Each round raises versions, adds scopes, ends those of two rounds before, and has one that is refused."""
    decode_policy(floor().value or b"")
    made = changes(5)
    gone = [one.scope for one in made if one.value is None]

    assert {parse(one.scope).key for one in made} >= {f"lasting-{number}" for number in range(LASTING)}
    assert all("-3" in scope for scope in gone)
    assert len(gone) == len([one for one in changes(3) if "-3" in one.scope and one.value is not None]) - 1
    with pytest.raises(PolicyInvalid):
        decode_policy(next(one.value for one in made if one.value == b"no policy") or b"")


def test_the_table_goes_between_its_marks() -> None:
    """What was run, what grew and what the audit found stand in the page."""
    samples = tuple(sample(number) for number in range(8))
    report = SoakReport(
        date=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        seed=1,
        messages=8000,
        policies=100,
        duration_s=60.0,
        machine=Machine(processor="a processor", cores=2, memory_gib=4.0, system="Linux"),
        versions={},
        samples=samples,
        growth=growth(samples),
        audit=Audit(checked=8000, skipped=3, missing=0, doubled=1, misplaced=0, altered=0),
    )
    page = insert("<!-- soak -->\nold\n<!-- /soak -->\n", markdown(report), "soak")

    assert "old" not in page
    assert "8,000 messages through one worker" in page
    assert "0 lost, 1 doubled" in page
    assert "| tasks | 30 | 30 | 1.000 |" in page
    assert report.audit.faults == 1
