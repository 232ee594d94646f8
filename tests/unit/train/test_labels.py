"""What a label says, and that no policy asks about what is unknown."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.train_rows import some_rows
from worker.train.data.labels import (
    ABUSE,
    ABUSE_SEXUAL,
    CIVILITY,
    EXCLUDED,
    HATE,
    HATE_ANIMOSITY,
    HATE_DEHUMANISING,
    HATE_DEROGATION,
    HATE_DISABILITY,
    HATE_GENDER,
    HATE_ORIENTATION,
    HATE_ORIGIN,
    HATE_RACE,
    HATE_RELIGION,
    HATE_TARGETS,
    HATE_THREATS,
    IMPLIED,
    PARTS,
    SEXISM,
    SEXISM_ANIMOSITY,
    SEXISM_DEROGATION,
    SEXISM_PREJUDICE,
    SEXISM_SLURS,
    SEXISM_STEREOTYPES,
    SEXISM_THREATS,
    SPAM,
    TOXICITY,
    close,
    concept_of,
    is_part,
)
from worker.train.data.parts import absent, convabuse_types, edos_labels, hatemoji_labels
from worker.train.data.rows import Row
from worker.train.policies.draw import balanced_sets, draw, subsets, word
from worker.train.policies.wordings import CONCEPTS


@pytest.mark.parametrize(
    "known, follows",
    [
        pytest.param({ABUSE: True}, {CIVILITY: True}, id="abuse is harassment"),
        pytest.param({TOXICITY: True}, {CIVILITY: True}, id="toxic is uncivil"),
        pytest.param({CIVILITY: False}, {TOXICITY: False} | absent(HATE), id="polite is neither toxic nor hate"),
        pytest.param({HATE: False}, absent(HATE), id="outside hate is outside its parts"),
        pytest.param({HATE_RACE: True}, {HATE: True}, id="a part is its concept; targets do not exclude each other"),
        pytest.param(
            {HATE_THREATS: True},
            {HATE: True, HATE_DEROGATION: False, HATE_ANIMOSITY: False, HATE_DEHUMANISING: False},
            id="a row has one type of hate",
        ),
        pytest.param({SEXISM_SLURS: True}, {SEXISM: True}, id="slurs stand in attacks and in animosity alike"),
        pytest.param({SPAM: False}, {}, id="ham says nothing of other categories"),
        pytest.param({HATE: True}, {}, id="hate may come in polite words"),
        pytest.param({HATE_THREATS: False}, {}, id="what is no threat may be other hate"),
    ],
)
def test_relations(known: dict[str, bool], follows: dict[str, bool]) -> None:
    """A label implies what the reviewed table says, and nothing else."""
    assert known | follows == close(known)


def test_contradiction_is_refused() -> None:
    """Labels that contradict each other through the table are an error, not a guess."""
    with pytest.raises(ValueError, match="implies"):
        close({ABUSE: True, CIVILITY: False})


@pytest.mark.parametrize(
    "known",
    [
        pytest.param({SEXISM_THREATS: True, HATE: False}, id="through two relations"),
        pytest.param({SEXISM_THREATS: True, SEXISM_PREJUDICE: True}, id="excluded"),
        pytest.param({ABUSE: False, ABUSE_SEXUAL: True}, id="a part without its concept"),
    ],
)
def test_parts_that_contradict_are_refused(known: dict[str, bool]) -> None:
    """Exclusion, and a part against its concept, are errors too, in whatever order the labels stand."""
    for labels in (known, dict(reversed(known.items()))):
        with pytest.raises(ValueError, match="implies"):
            close(labels)


def test_every_relation_has_its_reason_and_no_key_is_unheard_of() -> None:
    """The tables speak of concepts and their parts only, with a reason each."""
    keys = set(CONCEPTS) | {part for parts in PARTS.values() for part in parts}
    told = [(given[0], follows[0], why) for given, follows, why in IMPLIED] + list(EXCLUDED)
    assert all({one, other} <= keys and why for one, other, why in told)
    assert all(is_part(part) and concept_of(part) == concept for concept, parts in PARTS.items() for part in parts)


@given(
    known=st.dictionaries(
        st.sampled_from(sorted({key for parts in PARTS.values() for key in parts} | set(PARTS))), st.booleans()
    )
)
def test_closing_twice_adds_nothing(known: dict[str, bool]) -> None:
    """What follows from labels is all there is, and no label changes; contradictions are refused both times."""
    try:
        closed = close(known)
    except ValueError:
        return
    assert known.items() <= closed.items()
    assert closed == close(closed)


@pytest.mark.parametrize(
    "vector, told, open_",
    [
        pytest.param(
            ("1. threats, plans to harm and incitement", "1.1 threats of harm"),
            {SEXISM_THREATS: True, SEXISM_DEROGATION: False, SEXISM_STEREOTYPES: False, HATE: True, HATE_GENDER: True},
            {SEXISM_SLURS},
            id="threats",
        ),
        pytest.param(
            ("2. derogation", "2.2 aggressive and emotive attacks"),
            {SEXISM_DEROGATION: True, SEXISM_ANIMOSITY: False},
            {SEXISM_SLURS, HATE, HATE_GENDER},
            id="attacks may hold slurs",
        ),
        pytest.param(
            ("3. animosity", "3.1 casual use of gendered slurs, profanities, and insults"),
            {SEXISM_ANIMOSITY: True, SEXISM_SLURS: True, SEXISM_STEREOTYPES: False},
            {HATE},
            id="slurs",
        ),
        pytest.param(
            ("3. animosity", "3.2 immutable gender differences and gender stereotypes"),
            {SEXISM_ANIMOSITY: True, SEXISM_SLURS: False, SEXISM_STEREOTYPES: True},
            {HATE},
            id="stereotypes",
        ),
        pytest.param(
            ("4. prejudiced discussions", "4.1 supporting mistreatment of individual women"),
            {SEXISM_PREJUDICE: True, SEXISM_THREATS: False, SEXISM_SLURS: False},
            {HATE, SEXISM_STEREOTYPES},
            id="prejudice",
        ),
    ],
)
def test_sexist_rows_have_one_category(vector: tuple[str, str], told: dict[str, bool], open_: set[str]) -> None:
    """The vector tells the parts; what it does not tell stays unknown."""
    known = close(edos_labels(*vector))
    assert {SEXISM: True}.items() | told.items() <= known.items()
    assert not open_ & set(known)


@pytest.mark.parametrize(
    "codes, told, open_",
    [
        pytest.param("['dis']", {HATE_DISABILITY: True, HATE_RACE: False, HATE_GENDER: False}, set(), id="one"),
        pytest.param("['muswom']", {HATE_RELIGION: True, HATE_GENDER: True, HATE_RACE: False}, set(), id="two in one"),
        pytest.param(
            "['jew', 'gay']", {HATE_RELIGION: True, HATE_ORIENTATION: True}, {HATE_RACE, HATE_ORIGIN}, id="several"
        ),
        pytest.param("['asi', 'immig']", {HATE_RACE: True, HATE_ORIGIN: True}, set(), id="told by the other code"),
        pytest.param("['nat.poland']", {HATE_ORIGIN: True, HATE_RELIGION: False}, {HATE_RACE}, id="nationality"),
        pytest.param("['wc']", dict.fromkeys(HATE_TARGETS, False), set(), id="a group that has no part"),
        pytest.param("['new']", {HATE_THREATS: True}, set(HATE_TARGETS), id="a code nobody knows"),
    ],
)
def test_targets_are_told_or_open(codes: str, told: dict[str, bool], open_: set[str]) -> None:
    """Each code says which targets it is and which it leaves open."""
    known = close(hatemoji_labels("threateninglanguage", codes))
    assert {HATE: True, HATE_DEROGATION: False}.items() | told.items() <= known.items()
    assert not open_ & set(known)


def _votes(*votes: tuple[str, str]) -> dict[str, str]:
    """Return what annotators ticked: (severity -2, sexual harassment)."""
    return {
        f"Annotator{number}_{name}": tick
        for number, pair in enumerate(votes, 1)
        for name, tick in zip(("is_abuse.-2", "sex_harassment"), pair, strict=True)
    }


@pytest.mark.parametrize(
    "row, sexual",
    [
        pytest.param(
            _votes(("1", "1"), ("1", "1"), ("1", "0")), {ABUSE_SEXUAL: True}, id="most of those who saw abuse"
        ),
        pytest.param(_votes(("1", "0"), ("1", "0"), ("0", "0")), {ABUSE_SEXUAL: False}, id="nobody"),
        pytest.param(_votes(("1", "1"), ("1", "0"), ("1", "0")), {}, id="one of three"),
        pytest.param(_votes(("1", "0, 1"), ("1, 1", "0")), {}, id="seen twice and undecided"),
        pytest.param(
            _votes(("1, 1", "1, 1"), ("", ""), ("0", "0")), {ABUSE_SEXUAL: True}, id="who saw none has no say"
        ),
    ],
)
def test_types_of_abuse_need_a_majority(row: dict[str, str], sexual: dict[str, bool]) -> None:
    """A type is true by majority, false by silence, else unknown."""
    known = convabuse_types(row)
    assert True is known[ABUSE]
    assert sexual == {key: value for key, value in known.items() if key == ABUSE_SEXUAL}


@given(seed=st.integers(0, 10_000), known=st.dictionaries(st.sampled_from(sorted(CONCEPTS)), st.booleans(), min_size=1))
def test_policy_asks_only_what_is_known(seed: int, known: dict[str, bool]) -> None:
    """A category stands in a row's policy only where the row's label for it is known."""
    wording = draw(random.Random(seed), known, frozenset(subsets(known)), [next(iter(known))])
    assert {key for sense in wording.senses for key in sense.any_of} <= set(known)
    assert len(wording.senses) == len(wording.panel.categories)


@given(seed=st.integers(0, 10_000))
def test_ids_in_a_policy_differ(seed: int) -> None:
    """No policy has an id twice, canonical or opaque, for a category or for a clause of one."""
    rng = random.Random(seed)
    panel = word(rng, rng.sample(sorted(CONCEPTS), 3)).panel
    assert len({category.id for category in panel.categories}) == len(panel.categories)
    for category in panel.categories:
        clauses = category.violates + category.allowed
        assert len({clause.id for clause in clauses}) == len(clauses)


def test_one_sided_sets_are_not_used() -> None:
    """A set of categories that only ever ends one way is left out: the policy alone would tell the label."""
    rows = [*some_rows(), Row(source="sms", place="x", text="hi", known={HATE: False, SPAM: False})]
    sets = balanced_sets(rows, min_rows=1)
    assert frozenset({HATE, CIVILITY}) in sets
    assert frozenset({HATE, SPAM}) not in sets
