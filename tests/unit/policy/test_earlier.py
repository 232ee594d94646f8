"""Which earlier version of a policy a rollback means."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pytest

from tests.support.policies import category, raw
from worker.errors import UsageError
from worker.policy.earlier import earlier
from worker.policy.history import Book, Incoming, decide_all
from worker.records import GoldenCase, HistoryEntry

NOW: Final = dt.datetime(2026, 6, 1, 12, 0, tzinfo=dt.UTC)
A, B, C = (category(name, f"Category {name}") for name in "ABC")
CASE: Final = GoldenCase(text="hello", label="safe")


def decided(*values: bytes | None) -> tuple[list[HistoryEntry], HistoryEntry | None]:
    """Let a worker decide about records of acme; return its words, and the one that is in force."""
    book, made = Book(), []
    for offset, value in enumerate(values):
        record = Incoming(key=b"acme", value=value, offset=offset, timestamp=1000 + offset)
        for _, entry in decide_all(book, [record], by="w1", now=NOW):
            book.add(entry)
            made.append(entry)
        book.see(record)
    return made, book.last("acme") if book.in_force("acme") else None


def offset_of(to: int | str | None, *values: bytes | None) -> int:
    """Return the place of the record that is meant."""
    return earlier("acme", *decided(*values), to).offset


def test_the_last_one_that_judges_otherwise_is_meant() -> None:
    """Where nothing is named; golden cases judge nothing."""
    assert offset_of(None, raw(A), raw(B, version=2), raw(B, version=3, golden=(CASE,))) == 0
    assert offset_of(None, raw(A), raw(B, version=2), None) == 1


def test_a_version_is_meant_by_its_number() -> None:
    """Also where it only had other golden cases, and where the policy is deleted; what was refused is none."""
    assert offset_of(1, raw(A), raw(B, version=2)) == 0
    assert offset_of("1", raw(A, golden=(CASE,)), raw(A, version=2)) == 0
    assert offset_of(1, raw(A), None) == 0
    with pytest.raises(UsageError, match="acme has no accepted version 1; 'rsafe policy history acme'"):
        offset_of(1, raw(A, version=2), raw(B))


def test_a_number_that_several_records_had_is_refused() -> None:
    """Numbers start again after a delete: each is named by its digest, which picks one out."""
    records = (raw(A), None, raw(B), raw(C, version=2))
    entries, _ = decided(*records)
    first, second = (entry.digest or "" for entry in (entries[0], entries[2]))

    with pytest.raises(UsageError, match=f"version 1 .* several records: {first[:12]} of 2026-06-01, {second[:12]} of"):
        offset_of(1, *records)

    assert offset_of(first[:12], *records) == 0
    assert offset_of(second, *records) == 2
    assert offset_of(1, raw(A), None, raw(A), raw(B, version=2)) == 2


@pytest.mark.parametrize("to", [1, 2])
def test_what_is_in_force_is_no_way_back(to: int) -> None:
    """It would be published again as if that were a change; the same content under another version, too."""
    with pytest.raises(UsageError, match="acme is that already"):
        offset_of(to, raw(A), raw(A, version=2, author="somebody else"))


@pytest.mark.parametrize("to", ["", "x", "abcdef", "-1", "AB" * 8, "\u0661"])
def test_another_word_names_nothing(to: str) -> None:
    """The error says how to write it."""
    with pytest.raises(UsageError, match="--to is no version and no digest; write a number, or 8 or more hex digits"):
        offset_of(to, raw(A), raw(B, version=2))


def test_a_digest_that_nobody_had_is_named() -> None:
    """As a version that nobody had is; digits alone may begin a digest, too."""
    for to in ("0" * 8, "ab" * 32):
        with pytest.raises(UsageError, match=f"acme has no accepted version {to}"):
            offset_of(to, raw(A), raw(B, version=2))


def test_what_is_in_force_may_take_the_place_of_a_newer_record_that_waits() -> None:
    """Its golden cases run, or no worker has decided: going back to what is in force cancels it."""
    entries, in_force = decided(raw(A), raw(B, version=2))
    with pytest.raises(UsageError, match="acme is that already"):
        earlier("acme", entries, in_force, 2)
    assert earlier("acme", entries, in_force, 2, is_newest=False).offset == 1
