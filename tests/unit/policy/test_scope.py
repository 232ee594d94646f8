"""Keys of the policies topic."""

from __future__ import annotations

import re

import pytest

from worker.errors import PolicyInvalid
from worker.policy.scope import Scope, parse, parse_key, shown


@pytest.mark.parametrize(
    "text,scope",
    [
        ("platform", Scope("platform")),
        ("acme", Scope("acme")),
        ("acme/lobby", Scope("acme", "lobby")),
        ("platform#draft", Scope("platform", None, "draft")),
        ("acme#shadow", Scope("acme", None, "shadow")),
        ("a.b_c-1/l.2#draft", Scope("a.b_c-1", "l.2", "draft")),
        ("x" * 128 + "/" + "y" * 128 + "#shadow", Scope("x" * 128, "y" * 128, "shadow")),
    ],
)
def test_a_key_is_read_and_written_back(text: str, scope: Scope) -> None:
    """Every form of a key is read, and the scope writes the same key."""
    assert parse(text) == scope
    assert scope.key == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "acme/", "/lobby", "acme/a/b", "acme#", "acme#live", "acme#shadow#draft", "platform/lobby", "a b"),
        *("ümlaut", "acme\n", "acme/lobby\n", "#shadow", "x" * 129, "acme#Shadow", "x" * 100_000),
    ],
)
def test_everything_else_is_no_key(text: str) -> None:
    """A key outside the grammar is refused, and the refusal does not repeat it."""
    with pytest.raises(PolicyInvalid) as caught:
        parse(text)
    assert caught.value.field == "key"
    assert not re.search("acme|lobby|xx", str(caught.value))


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe"])
def test_bytes_that_are_no_text_are_no_key(key: bytes | None) -> None:
    """No key and no UTF-8 are refused like any other wrong key."""
    with pytest.raises(PolicyInvalid):
        parse_key(key)


def test_only_a_plain_key_judges() -> None:
    """Records with a state wait; ``live`` is what they are meant to become."""
    assert parse("acme/lobby").judges
    assert not parse("acme/lobby#shadow").judges
    assert parse("acme/lobby#shadow").live == "acme/lobby"


def test_any_key_can_be_shown() -> None:
    """A key of any bytes becomes a text of bounded length."""
    assert shown(b"\xff") == "\\xff"
    assert shown(None) == ""
    assert len(shown(b"\xff" * 100_000)) < 300
