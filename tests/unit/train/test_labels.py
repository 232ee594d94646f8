"""What a label says, and that no policy asks about what is unknown."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.train_rows import some_rows
from worker.train.data.labels import ABUSE, CIVILITY, HATE, SPAM, TOXICITY, close
from worker.train.data.rows import Row
from worker.train.policies.draw import balanced_sets, draw, subsets, word
from worker.train.policies.wordings import CONCEPTS


@pytest.mark.parametrize(
    "known, follows",
    [
        pytest.param({ABUSE: True}, {CIVILITY: True}, id="abuse is harassment"),
        pytest.param({TOXICITY: True}, {CIVILITY: True}, id="toxic is uncivil"),
        pytest.param({CIVILITY: False}, {TOXICITY: False, HATE: False}, id="polite is neither toxic nor hate"),
        pytest.param({SPAM: False}, {}, id="ham says nothing of other categories"),
        pytest.param({HATE: True}, {}, id="hate may come in polite words"),
    ],
)
def test_relations(known: dict[str, bool], follows: dict[str, bool]) -> None:
    """A label implies what the reviewed table says, and nothing else."""
    assert known | follows == close(known)


def test_contradiction_is_refused() -> None:
    """Labels that contradict each other through the table are an error, not a guess."""
    with pytest.raises(ValueError, match="implies"):
        close({ABUSE: True, CIVILITY: False})


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
