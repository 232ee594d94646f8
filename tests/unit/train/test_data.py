"""What is true of the real data sets once they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SHARED_DATA
from worker.errors import TrainError
from worker.train.data.load import left_out, load_rows, split_rows
from worker.train.data.rows import ATTRIBUTION, Row
from worker.train.data.splits import normalise


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Every row that may train or measure."""
    return load_rows(SHARED_DATA)


@pytest.mark.data
def test_groups_never_straddle(rows: list[Row]) -> None:
    """No text, conversation, context or pair is in two splits."""
    home: dict[str, str] = {}
    for split, part in split_rows(rows).items():
        for row in part:
            for key in row.keys:
                assert split == home.setdefault(key, split)


@pytest.mark.data
def test_same_text_is_in_one_split(rows: list[Row]) -> None:
    """A text that a user wrote twice, in whatever set, is in one split."""
    home: dict[str, str] = {}
    for split, part in split_rows(rows).items():
        for row in part:
            if row.role == "user":
                assert split == home.setdefault(normalise(row.text), split)


@pytest.mark.data
def test_left_out_rows_are_absent(rows: list[Row]) -> None:
    """No row of the list that stays out is read, and the list is not empty."""
    barred = left_out(SHARED_DATA)
    assert barred
    assert not barred & {row.place.split("#")[0] for row in rows}


@pytest.mark.data
def test_only_training_sets_are_read(rows: list[Row]) -> None:
    """Rows come from the eight sets that have an attribution, and from no set that is for tests only."""
    assert set(ATTRIBUTION) == {row.source for row in rows}


@pytest.mark.data
def test_evidence_stands_in_the_text(rows: list[Row]) -> None:
    """Marked evidence is a quote, word for word."""
    assert all(quote in row.text for row in rows for quote in row.evidence)
    assert any(row.evidence for row in rows)


def test_missing_list_stops(tmp_path: Path) -> None:
    """Without the list of rows to leave out nothing is read."""
    with pytest.raises(TrainError, match="--data"):
        load_rows(tmp_path)
