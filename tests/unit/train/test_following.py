"""Pairs of policies: the label flips or stays by construction, in words that training never has."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from functools import cache

import pytest

from tests.support.policy_rows import mixed_rows
from worker.train.data.labels import is_part
from worker.train.examples.reasoning import label_of
from worker.train.policies.following import (
    CITED,
    CONTROLS,
    FLIPS,
    HOLDS,
    KINDS,
    REORDERS,
    Pair,
    listed_baseline,
    listed_is_right,
    pairs,
    right_ids,
    right_labels,
)
from worker.train.policies.heldout import HELDOUT, WORDS
from worker.train.policies.wordings import TRAINING

LIMIT = 40
EDITS = ("narrowed", "widened", "definitions_swapped")


@cache
def _pairs() -> tuple[Pair, ...]:
    return tuple(pairs(mixed_rows(), random.Random(3), LIMIT))


def _of(kind: str) -> list[Pair]:
    return [pair for pair in _pairs() if pair.kind == kind]


@pytest.mark.parametrize("kind", KINDS)
def test_labels_flip_or_hold(kind: str) -> None:
    """Every pair of a kind does with the label what the kind says, for each of its changed policies."""
    found = _of(kind)
    assert found
    for pair in found:
        right = right_ids if pair.cited else label_of
        before = right(pair.before, pair.row.known)
        assert all((right(after, pair.row.known) != before) is pair.flip for after in pair.afters)
        assert pair.flip is (kind in FLIPS)
        assert all(after != pair.before for after in pair.afters)


@pytest.mark.parametrize("kind", KINDS)
def test_both_labels_in_equal_numbers(kind: str) -> None:
    """As many pairs begin unsafe as safe where both occur, and never more than the limit."""
    labels = Counter(label_of(pair.before, pair.row.known) for pair in _of(kind))
    assert labels.total() <= LIMIT
    if len(labels) > 1 and kind != "widened":
        assert labels["safe"] == labels["unsafe"]


def test_every_word_is_held_out() -> None:
    """No name, id, definition or clause of a pair is one of training."""
    shown = [
        shown for pair in _pairs() for wording in (pair.before, *pair.afters) for shown in wording.panel.categories
    ]
    assert not {one.name for one in shown} & set(TRAINING.key_of_name)
    assert not {one.id for one in shown} & {name for words in TRAINING.words.values() for name in words.ids}
    trained = {
        text.rstrip(".").lower()
        for words in TRAINING.words.values()
        for text in (*words.definitions, *words.violates, *words.allowed, *words.opposites)
    }
    said = {part for one in shown for part in one.definition.rstrip(".").lower().split("; or ")}
    said |= {clause.text.rstrip(".").lower() for one in shown for clause in (*one.violates, *one.allowed)}
    assert not said & trained


def test_removed_and_returned() -> None:
    """Removal takes one category away; a return brings it back with another id, place, name and definition."""
    for pair in _of("removed"):
        (after,) = pair.afters
        assert len(pair.before.senses) == len(after.senses) + 1
    for pair in _of("returned"):
        (after,) = pair.afters
        (back,) = set(after.panel.categories) - set(pair.before.panel.categories)
        assert back.id[0] in WORDS.letters
        assert back.id[1:].isdigit()
        assert pair.full is not None
        (first,) = set(pair.full.panel.categories) - set(pair.before.panel.categories)
        assert first.id != back.id
        assert pair.full.panel.categories.index(first) != after.panel.categories.index(back)
        assert first.name != back.name
        assert first.definition != back.definition
        assert [one for one in pair.full.panel.categories if one != first] == list(pair.before.panel.categories)
        assert [one for one in after.panel.categories if one != back] == list(pair.before.panel.categories)


@pytest.mark.parametrize("kind", [*EDITS, *(f"{kind}_kept" for kind in EDITS)])
def test_edits_keep_id_and_name(kind: str) -> None:
    """A definition edit changes the definition alone."""
    for pair in _of(kind):
        (after,) = pair.afters
        (old,), (new,) = pair.before.panel.categories, after.panel.categories
        assert (old.id, old.name) == (new.id, new.name)
        assert old.definition != new.definition


def test_exchanged_definitions_move_the_violated_category() -> None:
    """Both names stay listed in their places; their definitions change places, or in the control are put otherwise."""
    keys = set()
    for pair in _of("definitions_exchanged"):
        (after,) = pair.afters
        (one, two), (first, second) = pair.before.panel.categories, after.panel.categories
        assert [(one.id, one.name), (two.id, two.name)] == [(first.id, first.name), (second.id, second.name)]
        assert (one.definition, two.definition) == (second.definition, first.definition)
        assert one.definition != two.definition
        assert pair.before.senses == after.senses[::-1]
        assert label_of(after, pair.row.known) == "unsafe"
        assert {*right_ids(pair.before, pair.row.known), *right_ids(after, pair.row.known)} == {one.id, two.id}
        keys |= {WORDS.key_of_name[one.name], WORDS.key_of_name[two.name]}
    assert {is_part(key) for key in keys} == {True, False}
    for pair in _of("definitions_exchanged_kept"):
        (after,) = pair.afters
        for old, new in zip(pair.before.panel.categories, after.panel.categories, strict=True):
            assert (old.id, old.name) == (new.id, new.name)
            assert new.definition not in old.definition
        assert pair.before.senses == after.senses


def test_both_forms_of_a_swap_are_told_apart() -> None:
    """One name listed: the label flips. Two: what is violated. Each form has pairs and a control of its own."""
    for kind, names in (("definitions_swapped", 1), ("definitions_exchanged", 2)):
        for pair in (*_of(kind), *_of(f"{kind}_kept")):
            assert {len(wording.panel.categories) for wording in (pair.before, *pair.afters)} == {names}
            assert pair.cited is (names == 2)


def test_a_kind_may_have_a_limit_of_its_own() -> None:
    """The other kinds keep theirs."""
    found = Counter(pair.kind for pair in pairs(mixed_rows(), random.Random(3), 8, {"renamed": 20}))

    assert (found["renamed"], found["reordered"], found["removed"]) == (20, 8, 8)


def test_swapped_clauses_keep_everything_else() -> None:
    """What was allowed is violated, and the other way round, word for word."""
    for pair in _of("violates_allowed_swapped"):
        (after,) = pair.afters
        (old,), (new,) = pair.before.panel.categories, after.panel.categories
        assert (old.id, old.name, old.definition) == (new.id, new.name, new.definition)
        assert [clause.text for clause in old.violates] == [clause.text for clause in new.allowed]
        assert [clause.text for clause in old.allowed] == [clause.text for clause in new.violates]


def test_holds_change_what_they_say() -> None:
    """A rename changes a name, opaque hides all ids and names, a reorder has five other orders."""
    for pair in _of("renamed"):
        (after,) = pair.afters
        changed = [
            (old, new)
            for old, new in zip(pair.before.panel.categories, after.panel.categories, strict=True)
            if old != new
        ]
        assert [(old.id, old.definition) for old, _ in changed] == [(new.id, new.definition) for _, new in changed]
        assert len(changed) == 1
    for pair in _of("opaque"):
        (after,) = pair.afters
        assert all(shown.name.split()[0] in WORDS.opaque_names for shown in after.panel.categories)
        old, new = pair.before.panel.categories, after.panel.categories
        assert [shown.definition for shown in old] == [shown.definition for shown in new]
    for pair in _of("reordered"):
        orders = {wording.panel.categories for wording in (pair.before, *pair.afters)}
        assert len(orders) == REORDERS + 1
        assert len({frozenset(order) for order in orders}) == 1


def test_unrelated_removed_keeps_what_decides() -> None:
    """Only a category that the row does not meet goes."""
    for pair in _of("unrelated_removed"):
        (after,) = pair.afters
        gone = set(pair.before.panel.categories) - set(after.panel.categories)
        places = [place for place, shown in enumerate(pair.before.panel.categories) if shown in gone]
        assert [pair.before.values(pair.row.known)[place] for place in places] == [False]


def test_sources_take_turns() -> None:
    """No source fills a list while another has rows for it."""
    counts: dict[str, set[str]] = defaultdict(set)
    for pair in _pairs():
        counts[pair.kind].add(pair.row.source)
    assert len(counts["renamed"]) == 5
    assert all(len(sources) > 1 for sources in counts.values())


@pytest.mark.parametrize("kind", [*EDITS, "definitions_exchanged"])
def test_baseline_cannot_follow_an_edit(kind: str) -> None:
    """Who reads names alone answers alike on both sides: no flip right, every control right."""
    for pair in _of(kind):
        assert len(set(listed_baseline(pair))) == 1
        assert not listed_is_right(pair)
    kept = _of(f"{kind}_kept")
    assert kept
    assert all(map(listed_is_right, kept))


def test_baseline_is_right_where_names_tell() -> None:
    """It follows a removal, since then the name is gone."""
    assert all(listed_baseline(pair) == right_labels(pair) == ("unsafe", "safe") for pair in _of("removed"))
    assert all(map(listed_is_right, _of("removed")))


def test_the_same_seed_gives_the_same_pairs() -> None:
    """The lists of an evaluation can be made again."""
    assert list(_pairs()) == pairs(mixed_rows(), random.Random(3), LIMIT)


def test_rows_without_labels_give_no_pairs() -> None:
    """A kind that no row allows is left out, and nothing fails."""
    assert [] == pairs([], random.Random(1), 5)
    assert set(KINDS) == {*FLIPS, *HOLDS, *CONTROLS}
    assert any(map(is_part, HELDOUT))
    assert {kind.removesuffix("_kept") for kind in CITED} == {"definitions_exchanged"}
