"""Which records are exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.excepting import KEY, NOW_MS, at, incoming, plain
from worker.errors import ExceptionInvalid
from worker.exceptions.accept import ANY_KEY, DELAY_MS, MAX_DAYS, accept
from worker.exceptions.fingerprint import Fingerprinter
from worker.records import sha256_hex
from worker.secret import Secret

MAKER = Fingerprinter(Secret(KEY))
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    "said",
    [
        plain(author_id="u1"),
        plain(channel_id="lobby", categories=["A"]),
        plain(fingerprint=MAKER.of("acme", "hello")),
        plain("acme/lobby"),
        plain("acme/lobby", author_id="u1", fingerprint=MAKER.of("acme", "hello")),
        plain("*", fingerprint=MAKER.of("*", "hello")),
        plain("*", tenant_id="acme", author_id="u1"),
        plain("*", tenant_id="acme", channel_id="lobby"),
        plain(author_id="u1", expires_at=at(NOW_MS + MAX_DAYS * DAY_MS)),
    ],
)
def test_good_ones_are_taken(said: dict[str, Any]) -> None:
    """Every way to say whom it is for; the digest is of the bytes as they are."""
    record = incoming(said)

    accepted = accept(record, MAKER.key_id)

    assert accepted.digest == sha256_hex(record.value or b"")
    assert accepted.key == f"{said['scope']}#x"
    assert accepted.is_platform == (said["scope"] == "*")


@pytest.mark.parametrize(
    "said, field",
    [
        (plain(), "author_id"),
        (plain("*"), "author_id"),
        (plain("*", tenant_id="acme"), "author_id"),
        (plain("*", author_id="u1"), "tenant_id"),
        (plain("*", channel_id="lobby", fingerprint=MAKER.of("*", "x")), "tenant_id"),
        (plain("acme", tenant_id="acme", author_id="u1"), "tenant_id"),
        (plain("acme/lobby", channel_id="lobby"), "channel_id"),
        (plain("platform", author_id="u1"), "scope"),
        (plain("platform/x", author_id="u1"), "scope"),
        (plain("*", tenant_id="platform", author_id="u1"), "scope"),
        (plain(author_id="u1", owner="\t"), "owner"),
        (plain(author_id="u1", owner="x\u202ey"), "owner"),
        (plain(author_id="u1", reason=""), "reason"),
        (plain(author_id="u1", reason="x" * 1001), "reason"),
        (plain(author_id="u1", categories=["A"] * 65), "categories"),
        (plain(author_id="u1", expires_at=at(NOW_MS + DELAY_MS)), "expires_at"),
        (plain(author_id="u1", expires_at=at(NOW_MS - DAY_MS)), "expires_at"),
        (plain(author_id="u1", expires_at=at(NOW_MS + MAX_DAYS * DAY_MS + 1)), "expires_at"),
        (plain(author_id="u1", expires_at="9999-12-31T23:59:59-12:00"), "expires_at"),
        (plain(author_id="u1", expires_at="0001-01-01T00:00:00+12:00"), "expires_at"),
        (plain(author_id=""), "author_id"),
        (plain(fingerprint="hello"), "fingerprint"),
        (plain(fingerprint="00000000:" + "a" * 64), "fingerprint"),
    ],
)
def test_bad_ones_are_refused_with_the_field(said: dict[str, Any], field: str) -> None:
    """The first wrong field is named, and never its value."""
    with pytest.raises(ExceptionInvalid) as caught:
        accept(incoming(said), MAKER.key_id)

    assert caught.value.field == field


@pytest.mark.parametrize("name", ["author", "category", "something_new", "x - at `$.hidden`", "x` - at `$.hidden"])
def test_a_field_that_nobody_knows_is_refused_without_its_name(name: str) -> None:
    """It may be a narrower match, misspelt or of a newer version; without it the exception would be a wider one."""
    with pytest.raises(ExceptionInvalid) as caught:
        accept(incoming(plain(channel_id="lobby") | {name: "u1"}), MAKER.key_id)

    assert (caught.value.field, "fields of its schema alone" in caught.value.expected) == ("", True)
    assert name not in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [b"", b"not json", b"[]", b"null", b"\xff", b"{}", b"[" * 100_000, b'"' + b"x" * 70_000]
)
def test_bytes_that_are_no_record_are_refused(value: bytes) -> None:
    """Whatever stands there, it is one kind of error."""
    with pytest.raises(ExceptionInvalid):
        accept(incoming(value), None)


def test_the_key_must_say_the_same() -> None:
    """Compaction goes by the key: a record under another one's key would take that one's place."""
    with pytest.raises(ExceptionInvalid, match="key: expected"):
        accept(incoming(plain(author_id="u1"), "acme#other"), None)


def test_without_a_key_texts_are_refused_and_may_still_be_listed() -> None:
    """The cure is named; who only lists needs no key."""
    record = incoming(plain(fingerprint=MAKER.of("acme", "hello")))

    with pytest.raises(ExceptionInvalid, match="digest_key is not set"):
        accept(record, None)
    assert accept(record, ANY_KEY).key == "acme#x"
