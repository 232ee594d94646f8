"""The reasoning that is taught: true to row and policy, short, and read back by the parser that serves."""

from __future__ import annotations

import random
import re
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from tests.support.policy_rows import OWN, groups, mixed_rows
from worker.judge.parse import conclusion, panel_ids, parse_answer, parse_free, read
from worker.judge.prompt import Text
from worker.train.data.labels import CIVILITY, HATE, HATE_RACE, HATE_RELIGION, SPAM, Sense, concept_of, is_part, one
from worker.train.data.rows import Row
from worker.train.examples.format import answer
from worker.train.examples.reasoning import cited, label_of, segments, write
from worker.train.policies.draw import Wording, balanced_sets, draw
from worker.train.policies.wording import NEVER, Entry, assemble, by_clauses, category
from worker.train.recipe import load_demo_template

MAX_WORDS = 40


@cache
def _rows() -> tuple[Row, ...]:
    return tuple(mixed_rows(200))


@cache
def _groups() -> tuple[list[Row], ...]:
    return tuple(group for group in groups(list(_rows()), size=1))


def _drawn(seed: int, row: Row) -> Wording:
    return draw(random.Random(seed), row.known, balanced_sets(_rows(), min_rows=4), OWN[row.source])


def _quotes(row: Row) -> dict[str, tuple[str, ...]]:
    return {key: (row.text.split()[0],) for key, value in row.known.items() if value and not is_part(key)}


def _policy(*entries: Entry) -> Wording:
    return assemble(entries, "plain")


def _entry(name: str, key: str) -> Entry:
    return Entry(category=category(name, "Some Name"), sense=one(key))


@given(seed=st.integers(0, 100_000), place=st.integers(0, 10_000))
def test_what_is_taught_reads_back(seed: int, place: int) -> None:
    """The parser that serves finds label, ids and conclusion of every trace, whatever the policy's kind."""
    (row,) = _groups()[place % len(_groups())]
    wording, template = _drawn(seed, row), load_demo_template()
    label, named = label_of(wording, row.known), cited(wording, row.known)
    thought = write(random.Random(seed), wording, row.known, _quotes(row))
    taught = "".join(piece.text for piece in answer(template, label, named) if isinstance(piece, Text))
    parsed = parse_answer(taught, panel_ids(wording.panel), template.verdict_close)
    strict = read(thought, parsed, wording.panel, template)
    free = parse_free(
        thought + template.think_close + template.verdict_open + taught + template.end, wording.panel, template
    )
    for reading in (strict, free):
        assert ("judged", label) == (reading.status, reading.model_label)
        assert tuple(named) == tuple(name for _, name in reading.cited)
        assert set(reading.clauses) <= {name for name, _ in wording.clauses}
    assert label == conclusion(thought, template)


@given(seed=st.integers(0, 100_000), place=st.integers(0, 10_000))
def test_the_walk_is_true(seed: int, place: int) -> None:
    """Ids come in the policy's order, each decided once; quotes stand in the text; clauses cover the row."""
    (row,) = _groups()[place % len(_groups())]
    wording = _drawn(seed, row)
    made = segments(random.Random(seed), wording, row.known, _quotes(row))
    decisions = [text for text, decides in made if decides]
    assert [value for text in decisions for value in [text == " met"]] == list(wording.values(row.known))
    thought = "".join(text for text, _ in made)
    order = [thought.index(shown.id) for shown in wording.panel.categories[:1]]
    assert order == [0]
    assert all(quote in row.text for quote in re.findall(r'"([^"]*)"', thought))
    covers = dict(wording.clauses)
    for name in re.findall(r"[\w.-]+/[\w.-]+", thought):
        assert covers[name].holds(row.known)
    assert len(re.findall(r"\w+|[^\w\s]", thought)) <= MAX_WORDS


def test_decisions_are_whole_words() -> None:
    """A decision begins with a space, or is a comma; joined, the pieces are the trace."""
    wording = _policy(_entry("A", HATE), _entry("B", CIVILITY))
    known, quotes = {HATE: False, CIVILITY: True}, {CIVILITY: ("darn",)}
    made = segments(random.Random(1), wording, known, quotes)
    assert [("A", False), (" not met", True), ("\nB", False), (" met", True), (' by "darn"\nso unsafe.', False)] == made
    assert "".join(text for text, _ in made) == write(random.Random(1), wording, known, quotes)


def test_the_words_before_a_decision_do_not_tell_it() -> None:
    """Up to the first decision the trace is the same, whether the category is met or not."""
    wording = _policy(_entry("A", HATE))
    met = segments(random.Random(1), wording, {HATE: True}, {HATE: ("x1",)})
    unmet = segments(random.Random(1), wording, {HATE: False}, {})
    assert met[0] == unmet[0]


def test_many_unmet_categories_share_a_verdict() -> None:
    """With more than three categories, neighbours that are not met are not spelt out one by one."""
    others = [Entry(category=category(name, name), sense=NEVER) for name in "CDE"]
    wording = _policy(_entry("A", HATE), _entry("B", CIVILITY), *others)
    known = {HATE: False, CIVILITY: True}
    assert "A not met\nB met\nC,\nD,\nE not met\nso unsafe." == write(random.Random(1), wording, known, {})


def test_a_clause_is_named_where_it_decides() -> None:
    """A violates clause is the reason, an allowed one the exception, if they cover what the label says."""
    inside, outside = ("Advertising.", one(SPAM)), ("Private messages.", Sense((SPAM,), negated=True))
    swapped = _policy(by_clauses(random.Random(1), "S", "Spam", "", violates=[outside], allowed=[inside]))
    names = {sense.negated: name for name, sense in swapped.clauses}
    quotes = {SPAM: ("win",)}
    safe = write(random.Random(1), swapped, {SPAM: True}, quotes)
    unsafe = write(random.Random(1), swapped, {SPAM: False}, quotes)
    assert f"S not met, {names[False]} allows it\nso safe." == safe
    assert f"S met by {names[True]}\nso unsafe." == unsafe


def test_only_the_clause_of_the_rows_part_is_named() -> None:
    """Of several parts in clauses, the one that the row is in is named, with its concept's evidence."""
    barred = [("Hate for race.", one(HATE_RACE)), ("Hate for faith.", one(HATE_RELIGION))]
    wording = _policy(by_clauses(random.Random(2), "H", "Hate", "", violates=barred, allowed=[]))
    names = [name for name, _ in wording.clauses]
    known = {HATE: True, HATE_RACE: False, HATE_RELIGION: True}
    assert concept_of(HATE_RACE) == HATE
    assert f'H met by {names[1]}, "gorp"\nso unsafe.' == write(random.Random(1), wording, known, {HATE: ("gorp",)})
