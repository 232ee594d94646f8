"""Pairs of policies: the label flips or stays by construction, in words that training never has."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from functools import cache

import pytest

from tests.support.policy_rows import mixed_rows
from worker.train.data.labels import is_part
from worker.train.examples.reasoning import label_of
from worker.train.policies.following import CONTROLS, FLIPS, HOLDS, KINDS, REORDERS, Pair, listed_baseline, pairs
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
        before = label_of(pair.before, pair.row.known)
        assert all((label_of(after, pair.row.known) != before) is pair.flip for after in pair.afters)
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
    """Removal takes one category away; a return brings it back, with an id that says nothing."""
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


@pytest.mark.parametrize("kind", [*EDITS, *CONTROLS])
def test_edits_keep_id_and_name(kind: str) -> None:
    """A definition edit changes the definition alone."""
    for pair in _of(kind):
        (after,) = pair.afters
        (old,), (new,) = pair.before.panel.categories, after.panel.categories
        assert (old.id, old.name) == (new.id, new.name)
        assert old.definition != new.definition


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


@pytest.mark.parametrize("kind", EDITS)
def test_baseline_cannot_follow_an_edit(kind: str) -> None:
    """Who reads names alone answers alike on both sides: no flip right, every control right."""
    for pair in _of(kind):
        assert len(set(listed_baseline(pair))) == 1
        assert not _right(pair)
    kept = _of(f"{kind}_kept")
    assert all(map(_right, kept))


def _right(pair: Pair) -> bool:
    wanted = tuple(label_of(wording, pair.row.known) for wording in (pair.before, *pair.afters))
    return listed_baseline(pair) == wanted


def test_baseline_is_right_where_names_tell() -> None:
    """It follows a removal, since then the name is gone."""
    assert all(map(_right, _of("removed")))


def test_the_same_seed_gives_the_same_pairs() -> None:
    """The lists of an evaluation can be made again."""
    assert list(_pairs()) == pairs(mixed_rows(), random.Random(3), LIMIT)


def test_rows_without_labels_give_no_pairs() -> None:
    """A kind that no row allows is left out, and nothing fails."""
    assert [] == pairs([], random.Random(1), 5)
    assert set(KINDS) == {*FLIPS, *HOLDS, *CONTROLS}
    assert any(map(is_part, HELDOUT))
