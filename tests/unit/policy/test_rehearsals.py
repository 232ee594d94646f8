"""What is tried beside the policies in force: which shadow takes whose place, for which messages."""

from __future__ import annotations

import datetime as dt
from typing import Final

from tests.support.policies import category, raw
from worker.policy.history import Book, Incoming, decide_all
from worker.policy.model import EffectivePolicy

NOW: Final = dt.datetime(2025, 6, 1, 12, 0, tzinfo=dt.UTC)
FLOOR: Final = raw(category("U7", "Threats", action="block"))
OWN: Final = raw(category("A", "Alpha"))
NEXT: Final = raw(category("B", "Beta"))


def book_of(*records: tuple[str, bytes | None]) -> Book:
    """Let a worker decide about records in their order."""
    book = Book()
    for offset, (key, value) in enumerate(records):
        record = Incoming(key=key.encode(), value=value, offset=offset, timestamp=1000 + offset)
        for _, entry in decide_all(book, [record], by="w1", now=NOW):
            book.add(entry)
        book.see(record)
    return book


def ids(effective: EffectivePolicy | None) -> list[str]:
    """Return the categories of a policy."""
    return [] if effective is None else [f"{item.scope}:{item.id}" for item in effective.judging.categories]


def test_without_shadows_nothing_is_tried() -> None:
    """Drafts only wait."""
    book = book_of(("platform", FLOOR), ("acme", OWN), ("acme#draft", NEXT))
    assert book.rehearsals("acme", "lobby") == ()


def test_a_shadow_takes_the_place_of_its_own_scope() -> None:
    """The floor stays, the tenant's part is another; what is in force does not change, and others are not touched."""
    book = book_of(("platform", FLOOR), ("acme", OWN), ("acme#shadow", NEXT))
    (tried,) = book.rehearsals("acme", "lobby")
    assert (tried.scope, ids(tried.effective)) == ("acme", ["platform:U7", "acme:B"])
    assert ids(book.effective("acme", "lobby")) == ["platform:U7", "acme:A"]
    assert book.rehearsals("other", None) == ()


def test_what_is_tried_is_what_would_be_in_force() -> None:
    """The effective policy has the digest that it will have once it is live."""
    (tried,) = book_of(("platform", FLOOR), ("acme#shadow", NEXT)).rehearsals("acme", None)
    live = book_of(("platform", FLOOR), ("acme", NEXT)).effective("acme", None)
    assert live is not None
    assert tried.effective.digest == live.digest
    assert [part.digest for part in tried.effective.parts] == [part.digest for part in live.parts]
    assert tried.digest == live.parts[-1].digest


def test_two_rehearsals_do_not_disturb_each_other() -> None:
    """Each is tried against the live records of the other scopes."""
    stricter = raw(category("U7", "Threats", action="block"), category("U8", "Insults"), version=2)
    book = book_of(("platform", FLOOR), ("acme", OWN), ("acme/lobby#shadow", NEXT), ("platform#shadow", stricter))
    floor, channel = book.rehearsals("acme", "lobby")
    assert (floor.scope, ids(floor.effective)) == ("platform", ["platform:U7", "platform:U8", "acme:A"])
    assert (channel.scope, ids(channel.effective)) == ("acme/lobby", ["platform:U7", "acme:A", "acme/lobby:B"])
    assert [one.scope for one in book.rehearsals("acme", None)] == ["platform"]


def test_the_same_content_is_tried_once() -> None:
    """Its outcomes would have one id."""
    book = book_of(("acme#shadow", NEXT), ("acme/lobby#shadow", NEXT))
    assert [one.scope for one in book.rehearsals("acme", "lobby")] == ["acme"]


def test_a_tombstone_ends_a_rehearsal_and_a_refusal_does_not() -> None:
    """As for live records, the last accepted one counts."""
    refused = book_of(("acme#shadow", NEXT), ("acme#shadow", b"{}"))
    assert len(refused.rehearsals("acme", None)) == 1
    assert book_of(("acme#shadow", NEXT), ("acme#shadow", None)).rehearsals("acme", None) == ()
