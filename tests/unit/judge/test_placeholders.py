"""Masking: what is found, what is left alone, and the way back."""

from __future__ import annotations

from typing import Final

import pytest

from tests.support import planted
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
#: What becomes of personal data as people write it. What stays of a number is who runs it, and not whose it is.
PERSONAL: Final[dict[str, str]] = {
    planted.EMAIL: "[email]",
    planted.CARD: "[phone]",
    planted.IBAN: "DE75 [phone]",
    "4000004711047117": "[digits]",
    "DE75471100471100471147": "DE[digits]",
    "@zaphira": "[handle]",
    "+1-202-555-0147": "[phone]",
    "(020) 7946 0018": "([phone]",
    "07700 900471": "[digits] [digits]",
    # The last group is six digits long: masked as digits, since the models were trained so.
    planted.PHONE: "+44 7700 [digits]",
    "+49 (30) 901820": "+49 (30) [digits]",
}
#: What is not found: nothing in it looks like a number of a person.
PASSED_OVER: Final = (
    "10.0.0.17",
    "2001:db8::17",
    planted.NAME,
    "at 10:30",
    "19.99 EUR",
    "1,299.00",
    "v1.2.3",
    "order 1234",
)
#: What is found and is none: groups of digits that could be a telephone number.
TOO_MUCH: Final[dict[str, str]] = {
    "2026-11-21": "[phone]",
    "21.11.2026": "[phone]",
    "1 000 000 EUR": "[phone] EUR",
    "room 12-34-56": "room [phone]",
    "order 48213": "order [digits]",
}


@pytest.mark.parametrize("text, shown", (PERSONAL | TOO_MUCH).items())
def test_personal_data_as_people_write_it(text: str, shown: str) -> None:
    """Models are trained on exactly this: whoever changes a line changes what they see, and has to train them anew."""
    assert mask(f"I am {text}!")[0] == f"I am {shown}!"


@pytest.mark.parametrize("text", PASSED_OVER)
def test_what_is_passed_over(text: str) -> None:
    """Names, addresses in a network, times, prices and short numbers stay: masking is for the model's sake alone."""
    assert mask(f"I am {text}!")[0] == f"I am {text}!"


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
