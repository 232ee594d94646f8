"""Decisions about policy records, and the state that follows from them."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytest

from tests.support.policies import category, policy, raw
from worker.policy.accept import MAX_RECORD_BYTES
from worker.policy.history import Book, Incoming, decide_all, floor_first, golden_digest
from worker.records import GoldenCase, HistoryEntry, decode, encode

NOW: Final = dt.datetime(2025, 6, 1, 12, 0, tzinfo=dt.UTC)
A: Final = category("A", "Alpha")


def record(key: str | bytes | None, value: bytes | None, offset: int, timestamp: int | None = None) -> Incoming:
    """Build a record of the topic; its time follows its offset."""
    raw_key = key.encode() if isinstance(key, str) else key
    return Incoming(
        key=raw_key, value=value, offset=offset, timestamp=1000 + offset if timestamp is None else timestamp
    )


def feed(book: Book, *records: Incoming, by: str = "w1") -> list[HistoryEntry]:
    """Let a worker decide about records, as it would live; return what it wrote."""
    made = [entry for _, entry in decide_all(book, records, by=by, now=NOW)]
    for entry in made:
        book.add(entry)
    for one in records:
        book.see(one)
    return made


def version_in_force(book: Book, scope: str) -> int | None:
    """Return the version that judges for a scope."""
    accepted = book.in_force(scope)
    return accepted.policy.version if accepted else None


def test_a_valid_record_comes_into_force() -> None:
    """The decision keeps the record, its digests and its place."""
    book = Book()
    value = raw(A, version=3)
    (entry,) = feed(book, record("acme", value, 5))
    assert (entry.decision, entry.scope, entry.version, entry.offset, entry.timestamp) == (
        "accepted",
        "acme",
        3,
        5,
        1005,
    )
    assert entry.policy == value.decode()
    effective = book.effective("acme", None)
    assert effective is not None
    assert entry.effective_digest == effective.digest
    assert entry.digest == effective.parts[0].digest


@pytest.mark.parametrize(
    "key,value,field",
    [
        ("acme", b"not json", ""),
        ("acme", b"[]", ""),
        ("acme", b"\xff\xfe", ""),
        ("acme", b'{"title": "t", "version": 1}', "categories"),
        ("acme", b'{"title": "t", "version": 0, "categories": []}', "version"),
        ("acme", b"[" * 100_000, ""),
        ("acme", b" " * (MAX_RECORD_BYTES + 1), ""),
        ("acme/a/b", raw(A), "key"),
        (b"\xff", raw(A), "key"),
        (None, raw(A), "key"),
        (b"", raw(A), "key"),
        ("platform", raw(category("A")), "categories[0].name"),
    ],
)
def test_whatever_is_wrong_is_refused_by_its_field(key: str | bytes | None, value: bytes, field: str) -> None:
    """No bytes make a decision fail, and none of them come into force."""
    book = Book()
    (entry,) = feed(book, record(key, value, 0))
    assert (entry.decision, entry.field, book.scopes()) == ("refused", field, [])
    assert entry.reason
    assert decode(encode(entry), HistoryEntry, ValueError) == entry  # type: ignore[arg-type]


def test_a_refusal_leaves_the_last_accepted_version_in_force() -> None:
    """A bad head is replaced by the key's last good one."""
    book = Book()
    feed(book, record("acme", raw(A, version=1), 0), record("acme", b"bad", 1))
    assert version_in_force(book, "acme") == 1


def test_the_good_version_survives_compaction_and_restart() -> None:
    """A new worker sees only the bad head and takes the good version from the history."""
    book = Book()
    good, bad = record("acme", raw(A, version=4), 7), record("acme", b"bad", 9)
    log = feed(book, good, bad)
    restarted = Book()
    for entry in log:
        restarted.add(entry)
    assert feed(restarted, bad) == []
    assert version_in_force(restarted, "acme") == 4


def test_a_tombstone_deletes_and_resets_the_count() -> None:
    """After it the key has no policy, and version 1 is new again."""
    book = Book()
    feed(book, record("acme", raw(A, version=9), 0), record("acme", None, 1))
    assert book.in_force("acme") is None
    (entry,) = feed(book, record("acme", raw(A, version=1), 2))
    assert (entry.decision, version_in_force(book, "acme")) == ("accepted", 1)


def test_a_tombstone_of_a_wrong_key_is_no_refusal() -> None:
    """It cleans up; there is nothing to refuse."""
    (entry,) = feed(Book(), record("not/a/scope", None, 0))
    assert entry.decision == "deleted"


def test_versions_rise_and_the_same_bytes_change_nothing() -> None:
    """An old version is refused unless it is the last accepted record byte for byte."""
    book = Book()
    value = raw(A, version=2)
    feed(book, record("acme", value, 0))
    assert feed(book, record("acme", raw(A, version=2, title="other"), 1))[0].field == "version"
    (again,) = feed(book, record("acme", value, 2))
    assert (again.decision, version_in_force(book, "acme")) == ("accepted", 2)


def test_the_same_bytes_pass_under_a_floor_that_became_stricter() -> None:
    """Accepted tenants are not refused later; the stricter floor wins where both are combined."""
    book = Book()
    tenant = raw(category("U7", action="hold"))
    feed(book, record("platform", raw(category("U7", "Hate")), 0), record("acme", tenant, 1))
    feed(book, record("platform", raw(category("U7", "Hate", action="block"), version=2), 2))
    (again,) = feed(book, record("acme", tenant, 3))
    assert again.decision == "accepted"
    effective = book.effective("acme", None)
    assert effective is not None
    assert effective.judging.categories[0].action == "block"


def test_the_first_entry_of_a_record_counts() -> None:
    """Workers that race end with one state, whatever the later entries say."""
    value = record("acme", raw(A), 0)
    book = Book()
    entry = book.decide(value, by="w1", now=NOW)
    assert book.add(entry)
    assert not book.add(encode_with(entry, decided_by="w2", decision="refused"))
    book.see(value)
    assert version_in_force(book, "acme") == 1


def test_a_late_word_on_an_older_record_changes_nothing() -> None:
    """A slow worker writes about version 1 after a fast one wrote about version 2."""
    old, new = record("acme", raw(A, version=1), 0), record("acme", raw(A, version=2), 1)
    fast = Book()
    about_new = fast.decide(new, by="fast", now=NOW)
    about_old = Book().decide(old, by="slow", now=NOW)
    for order in ((about_new, about_old), (about_old, about_new)):
        book = Book()
        for entry in order:
            book.add(entry)
        book.see(new)
        assert version_in_force(book, "acme") == 2


def test_a_recreated_topic_is_decided_anew() -> None:
    """Offsets start again; the record's time tells the new records from the old ones."""
    book = Book()
    feed(book, record("acme", raw(A, version=1), 0, 1000), record("acme", raw(A, version=2), 1, 1001))
    (entry,) = feed(book, record("acme", raw(A, version=3), 0, 9000))
    assert (entry.decision, version_in_force(book, "acme")) == ("accepted", 3)


def test_a_key_without_a_value_in_the_topic_is_not_in_force() -> None:
    """A tombstone that was compacted away before any worker saw it still deleted the policy."""
    book = Book()
    for entry in feed(Book(), record("acme", raw(A), 0)):
        book.add(entry)
    assert book.in_force("acme") is None


@pytest.mark.parametrize("state", ["shadow", "draft"])
def test_records_with_a_state_are_kept_and_never_judge(state: str) -> None:
    """They have versions and history of their own, and the live record is untouched."""
    book = Book()
    waiting = record(f"acme#{state}", raw(A, version=5), 1)
    (_, entry) = feed(book, record("acme", raw(category("L", "Live")), 0), waiting)
    assert entry.decision == "accepted"
    effective = book.effective("acme", None)
    assert effective is not None
    assert [one.id for one in effective.judging.categories] == ["L"]


def test_a_waiting_record_has_the_digest_that_it_would_judge_with() -> None:
    """The effective digest of a shadow is the one that the same record has once it is live."""
    book = Book()
    feed(book, record("platform", raw(category("U7", "Hate")), 0))
    (shadow,) = feed(book, record("acme#shadow", raw(A), 1))
    (live,) = feed(book, record("acme", raw(A), 2))
    assert shadow.effective_digest == live.effective_digest


def test_each_record_is_decided_as_if_those_before_it_were_in_force() -> None:
    """Two versions read in one go, the second against the first; the floor counts from its place on."""
    book = Book()
    made = feed(
        book,
        record("platform", raw(category("U7", "Hate", action="hold")), 0),
        record("acme", raw(category("U7", action="block"), version=5), 1),
        record("acme", raw(category("U7"), version=5, title="other"), 2),
        record("acme", raw(category("U7", action="label"), version=6), 3),
    )
    assert [(entry.decision, entry.field) for entry in made] == [
        ("accepted", None),
        ("accepted", None),
        ("refused", "version"),
        ("refused", "categories[0].action"),
    ]


def test_a_floor_that_compaction_moved_behind_its_tenants_comes_first() -> None:
    """Without it a tenant that only tightens would be refused for good; a known floor needs no such help."""
    tenant, floor = record("acme", raw(category("U7")), 5), record("platform", raw(category("U7", "Hate")), 9)
    assert floor_first(Book(), [tenant, floor]) == [floor, tenant]
    book = Book()
    feed(book, record("platform", raw(category("U7", "Hate"), title="older"), 1))
    assert floor_first(book, [tenant, floor]) == [tenant, floor]


def test_golden_cases_have_a_digest_of_their_own() -> None:
    """It changes with the cases and is null without them."""
    case = GoldenCase(text="x", label="safe")
    assert golden_digest(policy(A)) is None
    assert golden_digest(policy(A, golden=(case,))) == golden_digest(policy(golden=(case,), version=2))


def test_a_huge_refused_record_keeps_no_text() -> None:
    """The entry has to fit its topic whatever was sent."""
    (entry,) = feed(Book(), record("acme", b'"' * 600_000, 0))
    assert entry.policy is None


def encode_with(entry: HistoryEntry, **changes: Any) -> HistoryEntry:
    """Return an entry with some fields changed."""
    fields = {name: getattr(entry, name) for name in HistoryEntry.__struct_fields__}
    return HistoryEntry(**(fields | changes))
