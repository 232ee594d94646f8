"""Masking: what is found, what is left alone, and the way back."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support.growth import growth
from worker.judge.placeholders import mask

#: Between linear (4) and quadratic (16) growth over four times the length.
MUCH: Final = 9
FINDS: Final[dict[str, str]] = {
    "see https://x.example/a?b=1 now": "see [url] now",
    "www.example.org": "[url]",
    "me.and-you+1@mail.example.org!": "[email]!",
    "@someone and a@b": "[handle] and a@b",
    "call +49 170 12345": "call [phone]",
    "(0170) 123-4567": "([phone]",
    "code 123456": "code [digits]",
    "1234 is short": "1234 is short",
    "no data at all": "no data at all",
    "": "",
}


@pytest.mark.parametrize("text", FINDS, ids=repr)
def test_finds(text: str) -> None:
    """Addresses, handles, numbers become their kind; everything else stays."""
    assert mask(text)[0] == FINDS[text]


@pytest.mark.parametrize("text", FINDS, ids=repr)
def test_the_way_back(text: str) -> None:
    """Each move leads from a placeholder to the words that it stands for; what lies between is equal."""
    shown, moves = mask(text)

    rebuilt, at = "", 0
    for masked_start, masked_end, start, end in moves:
        rebuilt += shown[at:masked_start] + text[start:end]
        at = masked_end

    assert rebuilt + shown[at:] == text


@pytest.mark.parametrize("unit", ["a", "1 ", "@", "a@", "a.", "12 34 ", "+1", "www.", "a@b."])
def test_time_grows_with_the_length_only(unit: str) -> None:
    """Four times as many characters of anything take about four times as long, not sixteen."""
    assert growth(mask, unit * (100_000 // len(unit))) < MUCH
