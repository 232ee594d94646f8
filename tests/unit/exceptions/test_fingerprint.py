"""Texts as keyed digests."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.excepting import KEY
from worker.config import Settings
from worker.config_load import load
from worker.errors import ConfigError
from worker.exceptions.fingerprint import Fingerprinter, fingerprinter
from worker.folding import bare
from worker.secret import Secret

MAKER = Fingerprinter(Secret(KEY))


@pytest.mark.parametrize(
    "one, other",
    [
        ("Hello, World!", "hello world"),
        ("\uff26\uff35\uff2c\uff2c width", "full   WIDTH"),
        ("straße", "STRASSE"),
        ("\ufb01ne", "fine"),
    ],
)
def test_the_same_words_are_one_text(one: str, other: str) -> None:
    """Case, width, space and ASCII punctuation do not matter."""
    assert MAKER.of("acme", one) == MAKER.of("acme", other)


@pytest.mark.parametrize(
    "one, other", [("you are 🦊", "you are 🐍"), ("!!!", "???"), ("ab", "a b"), ("", "!"), ("a\u200bb", "ab")]
)
def test_other_texts_are_others(one: str, other: str) -> None:
    """Emoji, word breaks, hidden characters, and texts of punctuation alone make a difference."""
    assert MAKER.of("acme", one) != MAKER.of("acme", other)


@given(st.text(), st.text())
def test_fingerprints_are_equal_as_the_folded_texts_are(one: str, other: str) -> None:
    """Nothing else decides, for any text, lone surrogates included."""
    folded = [bare(text) or text.strip() for text in (one, other)]
    safe = [text.encode("utf-8", "replace") for text in folded]

    assert (MAKER.of("acme", one) == MAKER.of("acme", other)) == (safe[0] == safe[1])


def test_key_and_tenant_matter() -> None:
    """Equal texts of two tenants, or under two keys, have nothing in common; the key's id tells keys apart."""
    other = Fingerprinter(Secret(KEY + "x"))
    found = {MAKER.of("acme", "hello"), MAKER.of("bazaar", "hello"), MAKER.of("*", "hello"), other.of("acme", "hello")}

    assert len({one.partition(":")[2] for one in found}) == 4
    assert MAKER.key_id != other.key_id
    assert all(one.startswith((MAKER.key_id + ":", other.key_id + ":")) for one in found)


def test_it_is_an_hmac_over_purpose_tenant_and_text() -> None:
    """Written out, so that others can make the same; no plain digest of the text is in it."""
    said = b"rsafe exception text 1\0acme\0hello"

    assert MAKER.of("acme", "Hello!") == f"{MAKER.key_id}:{hmac.new(KEY.encode(), said, hashlib.sha256).hexdigest()}"
    assert hashlib.sha256(b"hello").hexdigest() not in MAKER.of("acme", "hello")


def test_the_key_comes_from_environment_or_file(tmp_path: Path) -> None:
    """Both give the same; without either there is none; too short a key, two at once and a flag are refused."""
    file = tmp_path / "key"
    file.write_text(KEY + "\n", encoding="utf-8")
    from_file = fingerprinter(load(environ={"RSAFE_DIGEST_KEY_FILE": str(file)}))
    from_environment = fingerprinter(load(environ={"RSAFE_DIGEST_KEY": KEY}))

    assert from_file is not None
    assert from_environment is not None
    assert from_file.of("acme", "x") == from_environment.of("acme", "x") == MAKER.of("acme", "x")
    assert fingerprinter(Settings()) is None
    with pytest.raises(ConfigError, match="fewer than 32 characters"):
        fingerprinter(load(environ={"RSAFE_DIGEST_KEY": "short"}))
    with pytest.raises(ConfigError, match="keep one"):
        load(environ={"RSAFE_DIGEST_KEY": KEY, "RSAFE_DIGEST_KEY_FILE": str(file)})
    with pytest.raises(ConfigError, match="cannot be a flag"):
        load(environ={}, flags={"digest_key": KEY})
    with pytest.raises(ConfigError, match=r"digest_key_file = .* cannot be read"):
        fingerprinter(load(environ={"RSAFE_DIGEST_KEY_FILE": str(tmp_path / "none")}))


def test_the_key_shows_nowhere() -> None:
    """Neither settings nor their errors print it."""
    settings = load(environ={"RSAFE_DIGEST_KEY": KEY})

    assert KEY not in repr(settings)
