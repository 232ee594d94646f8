"""Policies that name words: the label is certain, the quote stands in the text, the rows stay as they were."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.train.data.rows import Row
from worker.train.examples import mentions, reasoning
from worker.train.examples.sample import Sample

TEXTS = (
    "Shall we bake a carrot cake on Sunday?",
    "The train to Leeds was late again",
    "my guitar needs new strings, any tips",
    "Carrot soup tonight, come over",
    "call me at 020 7946 0000 about the guitar",
    "no",
)


def _group(texts: tuple[str, ...] = TEXTS) -> list[Sample]:
    rows = [Row(source="sms", place=str(place), text=text, known={"spam": False}) for place, text in enumerate(texts)]
    return [Sample(row=row, quotes={}) for row in rows]


@given(seed=st.integers(0, 10_000))
def test_a_category_is_met_just_where_a_text_has_one_of_its_words(seed: int) -> None:
    """The words stand in the policy and, where it is met, in the text; the reasoning quotes one of them."""
    practice = mentions.practise(random.Random(seed), _group(), _group(("a bicycle with a bell", "")))

    assert practice is not None
    wording, group = practice
    for sample in group:
        words = mentions.words_of(sample.row.text)
        for category, sense in zip(wording.panel.categories, wording.senses, strict=True):
            said = " ".join([category.definition, *(clause.text for clause in (*category.violates, *category.allowed))])
            shared = {word for word in words if f" {word}" in said.lower().replace(",", " ").replace(".", " ")}
            asked = sense.any_of[0]
            quoted = {quote.strip().lower() for quote in sample.quotes[asked]}
            assert sample.row.known[asked] is bool(quoted)
            assert quoted <= shared
        trace = reasoning.write(random.Random(seed), wording, sample.row.known, sample.quotes)
        assert all(quote in sample.row.text for quote in trace.split('"')[1::2])


def test_both_labels_occur_in_most_groups() -> None:
    """A group that shares a policy of words mostly has rows that meet it and rows that do not."""
    mixed = 0
    for seed in range(200):
        practice = mentions.practise(random.Random(seed), _group(), ())
        assert practice is not None
        labels = {reasoning.label_of(practice[0], sample.row.known) for sample in practice[1]}
        mixed += len(labels) > 1
    assert mixed > 120


def test_the_rows_themselves_keep_their_labels() -> None:
    """What is asked of a group for once is not written into the rows that come again."""
    group = _group()
    mentions.practise(random.Random(1), group, ())
    assert all(sample.row.known == {"spam": False} and sample.quotes == {} for sample in group)


def test_texts_without_words_are_not_practised() -> None:
    """Nothing can be named where no text has a word."""
    assert mentions.practise(random.Random(1), _group(("no", "12", "<3")), ()) is None


def test_what_is_masked_is_no_word() -> None:
    """A placeholder for personal data is not asked for."""
    assert set(mentions.words_of("write to sam.lee@example.org about cake")) == {"write", "about", "cake"}


@pytest.mark.parametrize("seed", range(20))
def test_words_stand_beside_concepts_unless_an_id_is_taken(seed: int) -> None:
    """Two policies become one of all their categories, or the first stays alone."""
    first = mentions.practise(random.Random(seed), _group(), ())
    second = mentions.practise(random.Random(seed + 1), _group(), ())
    assert first is not None
    assert second is not None
    ids = [{shown.id for shown in one[0].panel.categories} for one in (first, second)]

    both = mentions.beside(first[0], second[0])

    assert {shown.id for shown in both.panel.categories} == (ids[0] if ids[0] & ids[1] else ids[0] | ids[1])
    assert len(both.senses) == len(both.panel.categories)
