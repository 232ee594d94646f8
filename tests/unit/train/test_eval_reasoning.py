"""Reasoning: citations, quotes, evidence, and traces that are put in."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.support.evaluating import answer, made_data, result, row
from worker.records import Span
from worker.train.data.labels import CIVILITY, HATE, SEXISM_THREATS, SPAM, TOXICITY, close, is_part
from worker.train.evaluation import reasoning
from worker.train.evaluation.reasoning import character_f1, offsets
from worker.train.policies.wordings import CONCEPTS, PARTS

SPAM_ID, HATE_ID = CONCEPTS[SPAM].ids[0], CONCEPTS[HATE].ids[0]


def test_citation_questions_can_be_got_wrong() -> None:
    """Each policy has a category that is met and one that is not, all of them known."""
    rows = [
        row("a", 0, source="davidson", known={HATE: True, CIVILITY: True, SPAM: False}),
        row("b", 1, known={TOXICITY: True}),
        row("c", 2, known={TOXICITY: False, SPAM: False}),
        row("d", 3, known={TOXICITY: True, SPAM: False, "sexism.threats": False}),
    ]

    questions = reasoning.citation_questions(rows, 10, "trace", seed=1)

    assert [one.name for one in questions] == ["cited/davidson", "cited/surge"]
    for one in questions:
        ids = {category.id for category in one.policy.judging.categories}
        assert one.unsafe
        assert set(one.right_ids) < ids
        assert len(one.concept.split()) == len(ids) <= reasoning.MAX_CATEGORIES
    assert reasoning.citation_questions(rows, 10, "trace", seed=1) == questions
    assert len(reasoning.citation_questions(rows[:1] * 3, 2, "trace", seed=1)) == 2


def test_citation_by_hand() -> None:
    """Of four true positives one cites the right one, one too much, one the wrong one, one nothing."""
    cited = ((SPAM_ID,), (SPAM_ID, HATE_ID), (HATE_ID,), ())
    found = [
        answer(n, unsafe=True, score=0.9, cited=ids, right_ids=(SPAM_ID,), concept=f"{HATE} {SPAM}")
        for n, ids in enumerate(cited)
    ]
    missed = answer(9, unsafe=True, score=0.1, right_ids=(SPAM_ID,), concept=f"{HATE} {SPAM}")
    texts = {one.place: "claim your prize at the lobby" for one in found}

    one = reasoning.citation([*found, missed], texts, made_data(8).models, {HATE: 3, SPAM: 1}, seed=1)

    assert one is not None
    assert (one.true_positives, one.right.value, one.any_right) == (4, 0.25, 0.5)
    assert (one.majority, one.linear) == (0, 1)
    assert one.over_linear.value == -0.75
    assert reasoning.citation([missed], texts, {}, {}, seed=1) is None


def test_citations_among_parts() -> None:
    """By a set's own sub-labels: parts stand beside parts alone, and are named and cited as such."""
    threat = close({SEXISM_THREATS: True})
    rows = [row("a", 0, source="edos", known=threat), row("b", 1, known={TOXICITY: True, SPAM: False})]

    (one,) = reasoning.citation_questions(rows, 10, "direct", seed=1, parts=True)

    assert (one.name, one.unsafe) == ("cited parts/edos", True)
    keys = one.concept.split()
    assert all(map(is_part, keys))
    assert set(one.right_ids) == {PARTS[key].ids[0] for key in keys if threat[key]}
    assert 0 < len(one.right_ids) < len(keys)
    judged = answer(0, unsafe=True, score=0.9, source="edos", cited=one.right_ids, right_ids=one.right_ids)
    judged = msgspec.structs.replace(judged, concept=one.concept, place=one.place)
    models = {key: made_data(8).models[HATE] for key in keys}
    found = reasoning.citation([judged], {one.place: "a"}, models, {key: int(threat[key]) for key in keys}, seed=1)
    assert found is not None
    assert (found.right.value, found.majority, found.by_source) == (1, 1, {"edos": 1})


def test_quotes_word_for_word() -> None:
    """Two quotes stand in the text, one of them a single letter, one does not; a masked one stands in what was seen."""
    results = [
        result(0, "shut your mouth", 'T1 met by "your mouth"; so unsafe.'),
        result(1, "see you soon", 'T1 met by "idiot"; so unsafe.'),
        result(2, "call 123456789 now", 'T1 met by "[digits] now"; so unsafe.'),
        result(3, "i hate u all", 'T1 met by " u"; so unsafe.'),
        result(4, "no reasoning", None),
    ]

    found = reasoning.quotes(results, masked=True)

    assert (found.reasonings, found.quotes) == (4, 4)
    assert found.verbatim == pytest.approx(3 / 4)
    assert reasoning.quotes(results, masked=False).verbatim == pytest.approx(2 / 4)
    assert reasoning.quotes(results[4:], masked=True).verbatim is None


def test_character_f1_by_hand() -> None:
    """As the task has it: both empty is 1, one empty is 0."""
    assert character_f1(frozenset(range(4)), frozenset(range(2, 8))) == pytest.approx(2 * 2 / 10)
    assert character_f1(frozenset(), frozenset()) == 1
    assert character_f1(frozenset(), frozenset({1})) == 0
    assert offsets("you fool, foolish fool", ("fool",)) == {4, 5, 6, 7}


def test_evidence_against_marks() -> None:
    """Exact evidence is 1, none is 0; the whole text stands beside; rows without marks stay out."""
    text = "oh shut your mouth"
    rows = {
        f"made:{n}": row(text, n, known={TOXICITY: True}, evidence=marks)
        for n, marks in enumerate((("shut your mouth",), ("shut your mouth",), ()))
    }
    results = [
        result(0, text, "r", spans=(Span(start=3, end=18),)),
        result(1, text, "r", model_label="safe", score=0.1),
        result(2, text, "r", spans=(Span(start=0, end=2),)),
    ]

    found = reasoning.evidence(results, rows, None, seed=1)

    assert found is not None
    assert (found.rows, found.all.value, found.true_positives) == (2, 0.5, 1.0)
    assert found.whole_text == pytest.approx(2 * 15 / (15 + 18))
    assert found.linear == 0
    assert reasoning.evidence(results[2:], rows, None, seed=1) is None


def test_donors_have_the_word_that_was_asked_for() -> None:
    """Own, same, opposite; a trace that was cut gives none."""
    results = [
        result(0, "a", "first; so unsafe."),
        result(1, "b", "second; so unsafe."),
        result(2, "c", "third; so safe.", model_label="safe"),
        result(3, "d", "cut", truncated=True),
    ]

    chosen = reasoning.donors(results, 10, seed=1)

    assert [(one.asked.place, trace) for one, trace in chosen["own"]] == [
        ("made:0", "first; so unsafe."),
        ("made:1", "second; so unsafe."),
        ("made:2", "third; so safe."),
    ]
    assert [(one.asked.place, trace) for one, trace in chosen["same word"]] == [
        ("made:0", "second; so unsafe."),
        ("made:1", "first; so unsafe."),
    ]
    opposite = {one.asked.place: trace for one, trace in chosen["opposite word"]}
    assert opposite["made:0"] == opposite["made:1"] == "third; so safe."
    assert opposite["made:2"] in {"first; so unsafe.", "second; so unsafe."}
    assert len(reasoning.donors(results, 1, seed=1)["own"]) == 1


def test_a_conclusion_is_cut_off() -> None:
    """The last word goes, the rest stays; what does not conclude is left out."""
    pattern = re.compile(r"\b(?P<label>safe|unsafe)\.\s*$")
    one = result(0, "a", "r")

    assert reasoning.without_conclusion("T1 met; so unsafe.", pattern) == "T1 met; so"
    assert reasoning.cut_off([(one, "T1 met; so unsafe."), (one, "T1 met")], pattern) == [(one, "T1 met; so")]
    assert reasoning.cut_off([(one, "T1 met; so unsafe.")], None) == []


def test_changed_words_are_counted() -> None:
    """One of two words changes; the other goes against the trace that was put in."""
    before = [result(0, "a", "r"), result(1, "b", "r")]
    after = [result(0, "a", "x", model_label="safe"), result(1, "b", "x", status="contradictory")]

    found = reasoning.forced(before, after, seed=1)

    assert found is not None
    assert (found.rows, found.changed.value, found.contradictory) == (2, 0.5, 0.5)
    assert reasoning.forced([], [], seed=1) is None
