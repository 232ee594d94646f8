"""Which exceptions a message falls under, by its own time."""

from __future__ import annotations

import random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.excepting import KEY, NOW_MS, at, incoming, plain
from worker.exceptions.accept import DELAY_MS, Incoming
from worker.exceptions.book import Book
from worker.exceptions.fingerprint import Fingerprinter
from worker.records import Message
from worker.secret import Secret

MAKER: Final = Fingerprinter(Secret(KEY))
START: Final = NOW_MS + DELAY_MS


def message(text: str = "hello", tenant: str = "acme", **more: Any) -> Message:
    """Return a message of acme."""
    return Message(tenant_id=tenant, message_id="m", text=text, **more)


def book(*records: Incoming, maker: Fingerprinter | None = MAKER) -> Book:
    """Return a book that has read these."""
    made = Book(maker)
    for record in records:
        made.add(record)
    return made


def keys(found: Book, said: Message, time_ms: int = START) -> list[str]:
    """Return what a message falls under."""
    return [one.key for one in found.matching(said, time_ms)]


@pytest.mark.parametrize(
    "said, matched, others",
    [
        (plain(author_id="u1"), [message(author_id="u1")], [message(author_id="u2"), message()]),
        (plain(channel_id="c"), [message(channel_id="c")], [message(channel_id="d"), message()]),
        (plain("acme/c"), [message(channel_id="c")], [message(channel_id="d"), message()]),
        (
            plain("acme/c", author_id="u1"),
            [message(channel_id="c", author_id="u1")],
            [message(channel_id="c"), message(author_id="u1"), message(channel_id="c", author_id="u2")],
        ),
        (
            plain(author_id="u1", fingerprint=MAKER.of("acme", "hello")),
            [message("HELLO!", author_id="u1")],
            [message(author_id="u2"), message("bye", author_id="u1"), message("hello")],
        ),
        (plain("acme/c", fingerprint=MAKER.of("acme", "hello")), [message(channel_id="c")], [message(), message("x")]),
        (plain("*", fingerprint=MAKER.of("*", "hello")), [message(), message(tenant="bazaar")], [message("bye")]),
        (
            plain("*", tenant_id="acme", fingerprint=MAKER.of("*", "hello")),
            [message()],
            [message(tenant="bazaar"), message("bye")],
        ),
        (
            plain("*", tenant_id="acme", channel_id="c", author_id="u1"),
            [message(channel_id="c", author_id="u1")],
            [message(channel_id="c"), message(tenant="bazaar", channel_id="c", author_id="u1")],
        ),
    ],
)
def test_all_that_is_named_must_match(said: dict[str, Any], matched: list[Message], others: list[Message]) -> None:
    """Its tenant, channel, author and text; and nobody of another tenant."""
    found = book(incoming(said))

    assert [keys(found, one) for one in matched] == [[f"{said['scope']}#x"]] * len(matched)
    assert [keys(found, one) for one in others] == [[]] * len(others)
    if said["scope"] != "*":
        strangers = [Message(tenant_id="bazaar", message_id="m", text=one.text, channel_id="c") for one in matched]
        assert [keys(found, one) for one in strangers] == [[]] * len(strangers)


def test_the_time_of_the_message_decides() -> None:
    """From a second after the record on, until the expiry; replaced, ended or spoilt only for later messages."""
    said = message(author_id="u1")
    good = plain(author_id="u1", expires_at=at(NOW_MS + 100_000))
    ends: dict[str, Incoming] = {
        "expiry": incoming(good, timestamp=NOW_MS),
        "tombstone": incoming(None, offset=1, timestamp=NOW_MS + 50_000),
        "replaced": incoming(plain(author_id="u2"), offset=1, timestamp=NOW_MS + 50_000),
        "bad": incoming(b"not json", offset=1, timestamp=NOW_MS + 50_000),
    }
    for name, end in ends.items():
        found = book(ends["expiry"], end)
        until_ms = NOW_MS + 100_000 if name == "expiry" else NOW_MS + 50_000 + DELAY_MS
        times = (START - 1, START, until_ms - 1, until_ms)
        assert [bool(keys(found, said, time)) for time in times] == [False, True, True, False], name


def test_what_is_none_says_why() -> None:
    """The newest record of a key is what is listed, refusals with their field."""
    found = book(incoming(plain(author_id="u1")), incoming(b"{}", offset=1, timestamp=NOW_MS + 1))

    newest = found.newest()["acme#x"]

    assert newest.accepted is None
    assert newest.refusal is not None
    assert newest.refusal.field == "scope"


def test_without_a_key_no_text_matches() -> None:
    """And nothing else changes."""
    by_text = incoming(plain(name="text", fingerprint=MAKER.of("acme", "hello")))
    found = book(by_text, incoming(plain(author_id="u1")), maker=None)

    assert keys(found, message(author_id="u1")) == ["acme#x"]


def test_several_come_in_the_order_of_their_keys() -> None:
    """The platform's first: the same order for every worker."""
    records = [
        incoming(plain(name="b", author_id="u1")),
        incoming(plain(name="a", author_id="u1")),
        incoming(plain("*", "z", tenant_id="acme", author_id="u1")),
        incoming(plain("acme/c", "y", author_id="u1")),
    ]

    assert keys(book(*records), message(author_id="u1", channel_id="c")) == ["*#z", "acme#a", "acme#b", "acme/c#y"]


def test_a_key_in_two_partitions_goes_by_time() -> None:
    """A topic that has grown may put a key's next record elsewhere; the later one counts, in any order of reading."""
    early, late = incoming(plain(author_id="u1"), partition=3), incoming(None, partition=5, timestamp=NOW_MS + 9)

    for records in ((early, late), (late, early)):
        found = book(*records)
        assert keys(found, message(author_id="u1"), START + 8) == ["acme#x"]
        assert keys(found, message(author_id="u1"), START + 9) == []
        assert found.partitions("acme#x") == [3, 5]


_STEPS: Final = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 50), st.sampled_from(["u1", "u2", None, "bad"])), max_size=12
)


def _record(offset: int, step: tuple[str, int, str | None]) -> Incoming:
    name, second, author = step
    time_ms = NOW_MS + second * 1000
    if author == "bad":
        return incoming(b"bad", f"acme#{name}", offset=offset, timestamp=time_ms)
    said = None if author is None else plain(name=name, author_id=author, expires_at=at(time_ms + 20_000))
    return incoming(said, f"acme#{name}", offset=offset, timestamp=time_ms)


@given(_STEPS, st.integers(0, 80), st.randoms())
def test_any_order_of_reading_gives_what_a_plain_search_gives(
    steps: list[tuple[str, int, str | None]], second: int, shuffler: random.Random
) -> None:
    """For any records and any time: the newest record before it decides each key, however they were read."""
    records = [_record(offset, step) for offset, step in enumerate(sorted(steps, key=lambda step: step[1]))]
    time_ms = NOW_MS + second * 1000
    expected = []
    for name in ("a", "b"):
        own = [one for one in records if one.key == f"acme#{name}".encode() and one.timestamp + DELAY_MS <= time_ms]
        last = own[-1] if own else None
        alive = last is not None and last.value is not None and time_ms < last.timestamp + 20_000
        if alive and last is not None and b'"u1"' in (last.value or b""):
            expected.append(f"acme#{name}")

    shuffled = list(records)
    shuffler.shuffle(shuffled)

    said = message(author_id="u1")
    assert keys(book(*records), said, time_ms) == keys(book(*shuffled, *records), said, time_ms) == expected


@given(_STEPS)
def test_compaction_changes_nothing_later(steps: list[tuple[str, int, str | None]]) -> None:
    """A book of each key's newest records alone gives the same answers for every time after the last of them."""
    records = [_record(offset, step) for offset, step in enumerate(sorted(steps, key=lambda step: step[1]))]
    heads = list({one.key: one for one in records}.values())
    said = message(author_id="u1")
    for second in (52, 55, 60, 71, 90):
        time_ms = NOW_MS + second * 1000
        assert keys(book(*records), said, time_ms) == keys(book(*heads), said, time_ms)
