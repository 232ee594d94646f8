"""How training policies vary, and that none of them tells the label by itself."""

from __future__ import annotations

import random
import re
from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.policy_rows import OWN, groups, mixed_rows
from worker.judge.prompt import policy_text
from worker.policy.model import EffectiveCategory
from worker.train.data.labels import ABUSE, HATE, PARTS, SEXISM, SPAM, concept_of, is_part, one
from worker.train.data.rows import Row
from worker.train.policies.draw import KINDS, Wording, balanced_sets, draw, part_sets, subsets, word
from worker.train.policies.fray import fray
from worker.train.policies.heldout import HELDOUT
from worker.train.policies.maker import MAX_CATEGORIES, MAX_PIECES
from worker.train.policies.wording import NEVER, Entry, category, exchanged, pieces, shorten
from worker.train.policies.wordings import CONCEPTS, TRAINING

#: No kind of policy may say more of the label than that.
BOUNDS = (0.15, 0.8)


@cache
def _rows() -> tuple[Row, ...]:
    return tuple(mixed_rows())


@cache
def _sets() -> frozenset[frozenset[str]]:
    return balanced_sets(_rows(), min_rows=8)


def _drawn(seed: int, group: list[Row]) -> Wording:
    known = set.intersection(*(set(row.known) for row in group))
    labels = [row.known for row in group]
    return draw(random.Random(seed), known, _sets(), OWN[group[0].source], labels)


def _usable() -> list[list[Row]]:
    """Return groups that share a concept of their source."""
    shared = [(group, set.intersection(*(set(row.known) for row in group))) for group in groups(list(_rows()))]
    return [group for group, known in shared if any(frozenset({key}) in _sets() for key in known)]


@cache
def _many(count: int = 3000) -> tuple[tuple[Wording, Row], ...]:
    made = [(_drawn(seed, group), group) for seed, group in enumerate(_usable() * (count // len(_usable())))]
    return tuple((wording, row) for wording, group in made for row in group)


def _only(kind: str) -> list[Wording]:
    return [wording for wording, _ in _many() if wording.kind == kind]


@given(seed=st.integers(0, 100_000), place=st.integers(0, 10_000))
def test_every_row_of_the_group_has_a_label(seed: int, place: int) -> None:
    """No category asks what some row of the group does not know; ids differ; there are one to six categories."""
    group = _usable()[place % len(_usable())]
    wording = _drawn(seed, group)
    ids = [category.id for category in wording.panel.categories]
    for row in group:
        assert len(ids) == len(wording.values(row.known))
    assert len(ids) == len(set(ids))
    assert 1 <= len(ids) <= MAX_CATEGORIES
    for one_category in wording.panel.categories:
        clause_ids = [clause.id for clause in one_category.violates + one_category.allowed]
        assert len(clause_ids) == len(set(clause_ids))


def test_a_seed_gives_one_policy() -> None:
    """The same generator draws the same policy, so that a run can be repeated."""
    group = _usable()[0]
    assert [_drawn(seed, group) for seed in range(40)] == [_drawn(seed, group) for seed in range(40)]


def test_plain_policies_are_the_most_frequent() -> None:
    """More policies are ordinary than of any other kind, and every kind occurs."""
    counts = Counter(wording.kind for wording, _ in _many())
    total = counts.total()
    assert set(KINDS) == set(counts)
    assert counts.most_common(1)[0][0] == "plain"
    assert min(counts.values()) >= 0.02 * total


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"absent"}))
def test_no_kind_tells_the_label(kind: str) -> None:
    """Under policies of one kind there are safe and unsafe rows in fair shares; one kind lacks what rows are."""
    labels = [any(wording.values(row.known)) for wording, row in _many() if wording.kind == kind]
    assert BOUNDS[0] <= sum(labels) / len(labels) <= BOUNDS[1]


def test_narrowing_looks_for_rows_that_show_it() -> None:
    """Parts that split a group come up more often when the group may steer."""
    group = [row for row in _rows() if row.source == "edos" and row.known[SEXISM]][:6]
    known = set.intersection(*(set(row.known) for row in group))
    free = [draw(random.Random(seed), known, _sets(), [SEXISM]) for seed in range(1000)]
    led = [_drawn(seed, group) for seed in range(1000)]
    assert _splits(led, group) > _splits(free, group) + 0.1


def _splits(drawn: list[Wording], group: list[Row]) -> float:
    narrow = [wording.senses for wording in drawn if wording.kind == "narrowed"]
    split = [
        len({sense.holds(row.known) for row in group}) > 1 for senses in narrow for sense in senses if _part(sense)
    ]
    return sum(split) / len(split)


def _part(sense: object) -> bool:
    keys: tuple[str, ...] = getattr(sense, "any_of", ())
    return any(map(is_part, keys))


def test_narrowed_keeps_the_name() -> None:
    """Most narrowed categories have the concept's name, and their definition or clauses ask for parts of it."""
    kept = 0
    found = _only("narrowed")
    for wording in found:
        place = next(place for place, sense in enumerate(wording.senses) if _part(sense))
        shown, sense = wording.panel.categories[place], wording.senses[place]
        concept = concept_of(sense.any_of[0])
        assert set(sense.any_of) <= set(PARTS[concept])
        assert shown.definition or shown.violates
        kept += TRAINING.key_of_name[shown.name] == concept
    assert kept > 0.7 * len(found)


def test_narrowed_by_clauses_says_what_each_clause_covers() -> None:
    """Where parts are named by clauses, the violating ones cover just what the category asks."""
    found = [wording for wording in _only("narrowed") if wording.clauses]
    assert found
    for wording in found:
        place = next(place for place, sense in enumerate(wording.senses) if _part(sense))
        shown, covers = wording.panel.categories[place], dict(wording.clauses)
        barred = [covers[f"{shown.id}/{clause.id}"] for clause in shown.violates]
        assert wording.senses[place].any_of == tuple(key for sense in barred for key in sense.any_of)
        assert not {covers[f"{shown.id}/{clause.id}"].any_of[0] for clause in shown.allowed} & set(
            wording.senses[place].any_of
        )


def test_swapped_asks_for_the_opposite() -> None:
    """Where violates and allowed have changed places, what the concept defines is allowed and the rest is not."""
    for wording in _only("swapped"):
        (place,) = (place for place, sense in enumerate(wording.senses) if sense.negated)
        shown, (key,) = wording.panel.categories[place], wording.senses[place].any_of
        assert shown.violates[0].text.lower() in _opposites(key)
        assert shown.allowed[0].text.rstrip(".").lower() in {
            text.rstrip(".").lower() for text in CONCEPTS[key].definitions
        }


@cache
def _opposites(key: str) -> set[str]:
    words = CONCEPTS[key]
    turned = {
        form.format(name=name, definition=definition.rstrip(".")).lower()
        for form in TRAINING.negations
        for name in words.names
        for definition in words.definitions
    }
    return turned | {text.lower() for text in (*words.opposites, *TRAINING.rests)}


def test_clauses_are_not_the_mark_of_a_swap() -> None:
    """The same two clauses come the ordinary way round about as often."""
    assert all(not sense.negated for wording in _only("clauses") for sense in wording.senses)
    assert 0.4 <= len(_only("clauses")) / len(_only("swapped")) <= 2.5


def test_opaque_policies_define_what_they_do_not_name() -> None:
    """A name that says nothing always has a definition."""
    hidden = [shown for wording in _only("opaque") for shown in wording.panel.categories if shown.name not in _names()]
    assert hidden
    assert all(shown.definition for shown in hidden)
    assert all(re.fullmatch(r"[A-Z]\d+", shown.id) for wording in _only("opaque") for shown in wording.panel.categories)


@cache
def _names() -> set[str]:
    return set(TRAINING.key_of_name) | {topic.name for topic in TRAINING.topics}


def test_misnamed_definition_wins() -> None:
    """In a misnamed policy some category asks for another concept than its name says, and defines it."""
    for wording in _only("misnamed"):
        pairs = list(zip(wording.panel.categories, wording.senses, strict=True))
        wrong = [shown for shown, sense in pairs if sense != NEVER and one(TRAINING.key_of_name[shown.name]) != sense]
        assert wrong
        assert all(shown.definition for shown in wrong)


def test_widened_asks_for_two() -> None:
    """A widened definition asks for the concept that is named or another one."""
    for wording in _only("widened"):
        ((shown, sense),) = (
            (shown, sense)
            for shown, sense in zip(wording.panel.categories, wording.senses, strict=True)
            if len(sense.any_of) > 1
        )
        assert TRAINING.key_of_name[shown.name] == sense.any_of[0]
        assert "; or " in shown.definition


def test_topics_stand_alone_only_where_the_own_concept_is_taken_away() -> None:
    """What is left then is what a violating row has to be safe under; elsewhere it would tell the label."""
    assert any(NEVER in wording.senses for wording, _ in _many())
    assert {wording.kind for wording, _ in _many() if set(wording.senses) == {NEVER}} == {"absent"}


def test_an_absent_policy_lacks_the_own_concept() -> None:
    """Violating rows are safe under it, unless they are something else that it asks."""
    for wording, row in _many():
        if wording.kind == "absent":
            assert not {key for sense in wording.senses for key in sense.any_of} & set(OWN[row.source])


def test_categories_stand_anywhere() -> None:
    """The order says nothing: the source's own concept is first, and last, in fair shares."""
    longer = [wording for wording, row in _many() if row.source == "davidson" and len(wording.senses) == 3]
    firsts = [wording.senses[0] in {one(HATE), one("civility")} for wording in longer]
    lasts = [wording.senses[-1] in {one(HATE), one("civility")} for wording in longer]
    assert 0.2 < sum(firsts) / len(firsts) < 0.9
    assert 0.2 < sum(lasts) / len(lasts) < 0.9


def test_no_held_out_words_are_drawn() -> None:
    """Whatever is drawn, no name and no definition of evaluation stands in it."""
    texts = "\n".join({policy_text(wording.panel).lower() for wording, _ in _many()})
    held = [text for words in HELDOUT.values() for text in (*words.definitions, *words.opposites, *words.violates)]
    assert [] == [text for text in held if text.lower().rstrip(".") in texts]
    shown = {category.name for wording, _ in _many() for category in wording.panel.categories}
    assert set() == shown & {name for words in HELDOUT.values() for name in words.names}


def test_policies_are_short() -> None:
    """A policy fits the study's room, whatever was drawn."""
    lengths = [sum(pieces(_entry(shown)) for shown in wording.panel.categories) for wording, _ in _many()]
    assert max(lengths) <= MAX_PIECES + 12


def _entry(shown: object) -> Entry:
    return Entry(category=shown, sense=NEVER)  # type: ignore[arg-type]


def test_shortening_keeps_what_is_needed() -> None:
    """Definitions go only from categories whose names say enough."""
    long = "words " * 30
    loose = Entry(category=category("A", "Spam", long), sense=one(SPAM), loose=True)
    needed = Entry(category=category("B", "Category B", long), sense=one(HATE))
    kept = shorten([loose, needed], 40)
    assert ["", long] == [entry.category.definition for entry in kept]


def test_part_sets_are_of_one_concept() -> None:
    """Sets of parts never mix concepts, and concepts are not among them."""
    known = {SEXISM: True, HATE: True, ABUSE: False} | {part: False for parts in PARTS.values() for part in parts}
    found = part_sets(known)
    assert all(len({concept_of(key) for key in keys}) == 1 and all(map(is_part, keys)) for keys in found)
    assert max(map(len, found)) == 3
    assert all(not any(map(is_part, keys)) for keys in subsets(known))


def test_labels_without_words_are_passed_over() -> None:
    """A label that has no words in the vocabulary stands in no policy."""
    rows = [Row(source="x", place=str(n), text="t", known={HATE: n % 2 == 0, "nameless": True}) for n in range(8)]
    sets = balanced_sets(rows, min_rows=1)
    assert {frozenset({HATE})} == sets
    wording = draw(random.Random(1), {HATE, "nameless"}, sets, ["nameless"])
    assert any(HATE in sense.any_of for sense in wording.senses)


def test_many_labels_do_not_explode() -> None:
    """A row that knows all concepts has sets of few of them."""
    assert {1, 2, 3} == {len(keys) for keys in subsets(CONCEPTS)}
    assert {1, 2, 3, 4, 5, 6} == {len(keys) for keys in subsets(sorted(CONCEPTS)[:6])}


def test_nothing_allowed_is_an_error() -> None:
    """A row none of whose concepts may stand in a policy cannot be drawn for."""
    with pytest.raises(ValueError, match="balanced_sets"):
        draw(random.Random(1), {HATE}, frozenset(), [HATE])


def test_word_is_plain() -> None:
    """Putting concepts into words changes nothing of what they ask."""
    for seed in range(200):
        wording = word(random.Random(seed), [HATE, SPAM])
        assert [sense for sense in wording.senses if sense != NEVER] == [one(HATE), one(SPAM)]


def test_the_twin_of_a_policy_turns_the_label_round() -> None:
    """Violates and allowed change places, nothing else: every row that the category decides is labelled otherwise."""
    told = [(wording, row) for wording, row in _many() if wording.kind in {"clauses", "swapped"}]
    alone = [(wording, row) for wording, row in told if len(wording.panel.categories) == 1]
    assert len(alone) > 100
    for wording, row in alone:
        twin = exchanged(wording)
        assert twin is not None
        assert twin.values(row.known) == tuple(not value for value in wording.values(row.known))
        assert _texts(twin) == _texts(wording)[::-1]


def test_the_twin_of_a_twin_is_the_policy() -> None:
    """Ids that say their side stay there, those made from words go with them; what a clause covers is its text's."""
    for wording, _ in _many(600):
        twin = exchanged(wording)
        back = twin and exchanged(twin)
        assert back is None or (back.panel, back.senses, set(back.clauses)) == (
            wording.panel,
            wording.senses,
            set(wording.clauses),
        )


@pytest.mark.parametrize("kind", ["plain", "absent", "opaque", "misnamed", "widened"])
def test_a_policy_whose_clauses_do_not_say_all_has_no_twin(kind: str) -> None:
    """Exchanging mere examples would make a policy whose label nobody knows."""
    assert {exchanged(wording) for wording in _only(kind)} == {None}


def _texts(wording: Wording) -> list[str]:
    return [clause.text for one in wording.panel.categories for clause in (*one.violates, *one.allowed)]


def test_a_frayed_policy_asks_the_same_in_fewer_words() -> None:
    """Ids, names, order and senses stay; of the sentences most words do, and all that turn one round."""
    lost = total = 0
    for seed, (wording, _) in enumerate(_many(600)):
        frayed = fray(random.Random(seed), wording)
        assert (frayed.senses, frayed.clauses, frayed.kind) == (wording.senses, wording.clauses, wording.kind)
        for before, after in zip(wording.panel.categories, frayed.panel.categories, strict=True):
            assert (before.id, before.name) == (after.id, after.name)
            for old, new in zip(_sentences(before), _sentences(after), strict=True):
                assert new or not old
                assert {"no", "not", "without", "nobody"} & set(old.split()) <= set(new.split())
                total, lost = total + len(old.split()), lost + len(old.split()) - len(new.split())
    assert 0.1 < lost / total < 0.25


def _sentences(shown: EffectiveCategory) -> list[str]:
    return [shown.definition, *(clause.text for clause in (*shown.violates, *shown.allowed))]
