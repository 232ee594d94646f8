"""Our own benign sentences about identities: all different, all negative, none of the set that measures."""

from __future__ import annotations

import pytest

from tests.conftest import SHARED_DATA
from worker.train.data import identity
from worker.train.data.labels import HATE, SEXISM
from worker.train.evaluation.fairness import read_templates


def test_rows_are_benign_and_different() -> None:
    """Each is a sentence of its own that is no hate, no sexism, and of no split."""
    rows = identity.rows()
    assert len({row.text for row in rows}) == len(rows) == identity.ROWS
    assert all(row.known[HATE] is False and row.known[SEXISM] is False for row in rows)
    assert not any(any(row.known.values()) for row in rows)
    assert all(row.commercial for row in rows)


def test_a_seed_gives_the_same_rows() -> None:
    """A run can be repeated."""
    assert identity.rows(50, seed=3) == identity.rows(50, seed=3) != identity.rows(50, seed=4)


@pytest.mark.data
def test_no_sentence_is_measured_with() -> None:
    """The templates that measure the gap are not trained on."""
    measured = {text.lower().rstrip(".") for _, text in read_templates(SHARED_DATA)}
    assert not measured & {row.text.lower().rstrip(".") for row in identity.rows(2_000)}
