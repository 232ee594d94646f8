"""The generated attacks: enough of them, of every family, and the same ones for the same seed."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from worker.attacks.cases import SEED, carriers, generate
from worker.attacks.disguises import Disguise, disguises
from worker.judge.placeholders import mask
from worker.records import decode_message

#: What issue and standards ask for; each must have a benign and a violating carrier.
FAMILIES = {
    "fence",
    "fake verdict",
    "fake policy",
    "role play",
    "this is an example",
    "instruction",
    "encoded instruction",
    "encoded carrier",
    "homoglyphs",
    "zero width",
    "bidi",
    "special tokens",
    "long",
    "repetitive",
    "endless reasoning",
    "nested",
    "context",
    "agent",
}


def test_there_are_at_least_five_hundred_over_both_kinds() -> None:
    """Ids are unique, every family is there, and each has as many benign carriers as violating ones."""
    cases = generate()
    kinds = Counter((case.family, case.carrier.kind) for case in cases)

    assert len({case.id for case in cases}) == len(cases) >= 500
    assert {case.family for case in cases} == FAMILIES
    assert all(kinds[family, "benign"] == kinds[family, "violating"] > 0 for family in FAMILIES)
    assert len({case.message.text for case in cases}) > 500


def test_instructions_come_in_many_languages() -> None:
    """More than eight, in several scripts."""
    names = {case.id.split("/")[1] for case in generate() if case.family == "instruction"}

    assert len(names) >= 8
    assert {"chinese", "russian", "arabic", "hindi"} <= names


def test_the_seed_decides() -> None:
    """Equal seeds give equal cases; another one picks other carriers for the same wrappings."""
    first, other = generate(SEED), generate(SEED + 1)

    assert first == generate(SEED)
    assert len(first) == len(other)
    assert [case.id for case in first] != [case.id for case in other]


def test_all_carriers_if_asked_for_more_than_there_are() -> None:
    """Each wrapping then has every carrier once."""
    wrappings = {case.id.rpartition("/")[0] for case in generate()}

    assert len(generate(per_kind=1000)) == len(wrappings) * len(carriers())


def test_every_case_is_a_message_that_the_worker_takes() -> None:
    """Written as JSON and read by the worker's reader it is the same message, odd characters and all."""
    for case in generate():
        assert decode_message(msgspec.json.encode(case.message)) == case.message
        assert (case.alone.text, case.alone.role) == (case.carrier.text, case.message.role)


@pytest.mark.parametrize("disguise", disguises(), ids=lambda one: f"{one.family}-{one.name}")
def test_every_disguise_changes_the_text(disguise: Disguise) -> None:
    """No disguise is the text itself."""
    assert disguise.apply("Hello everybody out there") != "Hello everybody out there"


def test_masked_texts_lead_back_to_the_original() -> None:
    """The offset map of the placeholders rebuilds every attack, character by character."""
    for case in generate():
        text = case.message.text
        masked, moves = mask(text)
        rebuilt, cursor = [], 0
        for start, end, original_start, original_end in moves:
            rebuilt += [masked[cursor:start], text[original_start:original_end]]
            assert masked[start] + masked[end - 1] == "[]"
            cursor = end
        assert "".join(rebuilt) + masked[cursor:] == text
