"""Quotes of a reasoning, found in the message."""

from __future__ import annotations

from typing import Final

import pytest

from worker.judge.evidence import MAX_SPANS, spans

TEXT: Final = "mail a@b.com or call +1 555 123 4567 you idiot, class 🤡 idiot http://x.y/z now"
MASKED: Final[dict[str, list[str]]] = {
    'U7 met by "idiot"': ["idiot"],
    '"ass" is not a word here, "class" is': ["class", "ass"],
    '"[email] or"': ["a@b.com or"],
    '"call [phone] you"': ["call +1 555 123 4567 you"],
    '"[url]"': ["http://x.y/z"],
    '"🤡"': [],
    '"class 🤡"': ["class 🤡"],
    "\u201cyou idiot\u201d": ["you idiot"],
    '"Idiot"': [],
    '"+1 555 123 4567"': [],
    'no quotes, or only one "': [],
    "": [],
}


@pytest.mark.parametrize("reasoning", MASKED)
def test_quotes_are_led_back_to_the_original(reasoning: str) -> None:
    """Only what stood in the masked text word for word counts; whole words go before parts of words."""
    found = spans(reasoning, TEXT, masked=True)

    assert [TEXT[span.start : span.end] for span in found] == MASKED[reasoning]


def test_without_masking_the_text_itself_is_searched() -> None:
    """For a model that sees everything a quoted address is evidence."""
    found = spans('"a@b.com"', TEXT, masked=False)

    assert [TEXT[span.start : span.end] for span in found] == ["a@b.com"]


def test_whole_words_first() -> None:
    """A quote is the word itself, not the part of a longer word that comes earlier."""
    (span,) = spans('"hat"', "what a hat", masked=False)

    assert (span.start, span.end) == (7, 10)


def test_scripts_without_spaces() -> None:
    """Where words touch, a quote is found inside."""
    (span,) = spans('"笨蛋"', "你是笨蛋啊", masked=False)

    assert (span.start, span.end) == (2, 4)


def test_at_most_eight_in_the_texts_order() -> None:
    """More quotes than fit are dropped from the end; the places come in order."""
    words = [f"w{number}x" for number in range(20)]

    found = spans(" ".join(f'"{word}"' for word in reversed(words)), " ".join(words), masked=False)

    assert len(found) == MAX_SPANS
    assert [span.start for span in found] == sorted(span.start for span in found)
