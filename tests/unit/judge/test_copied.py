"""Whatever a model prefers, its reasoning begins lines with the policy's ids and quotes whole words of the message."""

from __future__ import annotations

import random
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.judge.copied import MAX_WORDS, Copied, Follower, Vocabulary

#: Single bytes, and pieces as byte-pair vocabularies have them.
PIECES: Final = [
    *(bytes([number]) for number in range(256)), b" met", b" not", b" by", b"so", b" safe", b' "', b'",', b'"\n',
    b"\n\n", b"\nso", b" win", b"win", b"ner", b"A1", b"AT", b"TACK", b" a", b'" "', b'"w', b'win"', b", ", b".\n",
    b"\xf0\x9f",
]  # fmt: skip
VOCABULARY: Final = Vocabulary(dict(enumerate(PIECES)))
STARTS: Final = ("A1", "A10", "ATTACK", "so")
_SAID: Final = re.compile(r'"([^"]*)"')


def ids(*pieces: bytes) -> list[int]:
    """Return tokens by their bytes."""
    return [PIECES.index(piece) for piece in pieces]


def follower(text: str = "you win a winner's prize", starts: tuple[str, ...] = STARTS) -> Follower:
    """Return one that has read nothing."""
    return Follower(VOCABULARY, Copied(text=text, starts=starts))


def allowed(written: list[int], **copied: Any) -> set[bytes]:
    """Return the pieces that may follow."""
    rule = follower(**copied).rule(written)
    assert rule is not None
    found = set(rule.ids)
    return {piece for number, piece in enumerate(PIECES) if (number in found) == rule.alone}


def test_a_line_begins_with_an_id() -> None:
    """Its first token, the ones after it, and only where it is whole what is no letter or digit."""
    assert allowed([]) == {b"A", b"A1", b"AT", b"s", b"so"}
    assert allowed(ids(b"AT")) == {b"T", b"TACK"}
    assert {b"0", b" met", b",", b"\n"} <= allowed(ids(b"A1"))
    assert allowed(ids(b"A1")).isdisjoint({b"1", b"A", b"so", b"\n\n", b"\xf0", b"-"})
    assert allowed(ids(b"A1", b" met", b"\n")) == allowed([])


def test_a_quote_is_whole_words_of_the_message() -> None:
    """With the space before them or without, from where a word begins to where one ends."""
    start = ids(b"A1", b" met", b" by", b' "')

    assert {b" win", b"win", b"y", b" ", b" a", b'win"'} <= allowed(start)
    assert allowed(start).isdisjoint({b"ner", b"TACK", b'"', b'" "', b" safe", b"e"})
    assert allowed([*start, *ids(b"win")]) == {b" ", b" a", b"n", b"ner", b'"', b'",', b'"\n', b'"w', b'" "'}
    assert allowed([*start, *ids(b"win", b"n")]) == {b"e"}


def test_a_token_that_opens_and_goes_on() -> None:
    """Its rest is looked at before it is written, like one that ends two lines."""
    free = ids(b"A1", b" met")

    assert b'"w' in allowed(free)
    assert b'"w' not in allowed(free, text="nothing here")
    assert {b"\nso", b"\n", b'"', b"x"} <= allowed(free)
    assert b"\n\n" not in allowed(free)


@pytest.mark.parametrize("text", ["", '"""', " \n "])
def test_nothing_to_quote(text: str) -> None:
    """Then no quote is opened."""
    assert not any(b'"' in piece for piece in allowed(ids(b"A1", b" met"), text=text))


def test_of_a_long_message_the_first_words_are_quoted() -> None:
    """A quote begins with one of them, so that no message makes each token dear; it may go on beyond them."""
    start = ids(b"A1", b" met", b' "')

    assert follower("- " * MAX_WORDS + "win").rule([*start, *ids(b"win")]) is None
    assert follower("win " + "- " * MAX_WORDS).rule([*start, *ids(b"win", b" ", b"-")]) is not None


def test_other_scripts() -> None:
    """Words that no space parts may be cut between characters, never inside one."""
    start = ids(b"A1", b" met", b' "')
    first, second = "\u4f60\u597d"

    assert first.encode()[:1] in allowed(start, text=first + second)
    assert second.encode()[:1] in allowed(start, text=first + second)
    whole = [*start, *ids(*(bytes([byte]) for byte in first.encode()))]
    assert b'"' in allowed(whole, text=first + second)
    assert b'"' not in allowed(whole[:-1], text=first + second)


def test_what_was_written_is_read_once() -> None:
    """A follower that is asked after each token says the same as one that reads all at once."""
    written = ids(b"A1", b" met", b" by", b' "', b"win", b"ner")
    slow = follower()

    rules = [slow.rule(written[:end]) for end in range(len(written) + 1)]

    assert [follower().rule(written[:end]) for end in range(len(written) + 1)] == rules


def test_after_a_broken_rule_all_is_free() -> None:
    """It was not written under these rules; nothing is made worse."""
    assert follower().rule(ids(b"x")) is None
    assert follower().rule(ids(b"x", b"A1")) is None


@given(
    text=st.text(alphabet='ab "\n\u00e9\u4f60\U0001f600.w', max_size=30),
    seed=st.integers(0, 2**32),
    starts=st.sets(st.sampled_from(["A1", "A10", "ATTACK", "so", "w", "U7.2"]), min_size=1).map(sorted),
)
def test_a_model_that_knows_nothing(text: str, seed: int, starts: list[str]) -> None:
    """It is never without a token, and what it writes keeps the rules."""
    rng = random.Random(seed)
    asked = follower(text, tuple(starts))
    written: list[int] = []
    for _ in range(40):
        rule = asked.rule(written)
        assert rule is not None
        free = [number for number in range(len(PIECES)) if (number in set(rule.ids)) == rule.alone]
        assert free
        quoting = [number for number in free if b'"' in PIECES[number] or b"\n" in PIECES[number]]
        written.append(rng.choice(quoting if quoting and rng.random() < 0.5 else free))

    said = b"".join(PIECES[number] for number in written).decode(errors="replace")
    kept = said.rsplit('"', 1)[0] + '"' if said.count('"') % 2 else said
    for quote in _SAID.findall(kept):
        assert quote in text
        assert quote.rstrip(" \n") == quote != ""
    outside = _SAID.sub('""', kept)
    for line in outside.split("\n")[:-1]:
        assert any(re.match(re.escape(start) + r"(?![0-9A-Za-z_.-])", line) for start in starts), (line, said)
