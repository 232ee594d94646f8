"""Rows that belong together stay together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED_DATA
from tests.support.data_folder import made_rows
from worker.train.data.freeze import differences, digest, freeze, frozen, official_leaks, record
from worker.train.data.load import load_rows
from worker.train.data.sources import FOLDER_SOURCES
from worker.train.data.splits import join_groups, normalise, split_of


@given(st.lists(st.lists(st.integers(0, 30).map(str), min_size=1, max_size=3), max_size=30))
def test_rows_that_share_a_key_share_a_group(keys: list[list[str]]) -> None:
    """Any two rows with a common key are in one group, whatever else ties them."""
    groups = join_groups(keys)
    for first, one in zip(keys, groups, strict=True):
        for second, other in zip(keys, groups, strict=True):
            assert not set(first) & set(second) or one == other


def test_untied_rows_stay_apart() -> None:
    """Rows that nothing ties are in groups of their own."""
    assert ["a", "b"] == join_groups([["a"], ["b"]])


def test_near_copies_are_one_text() -> None:
    """Case, width, spaces and punctuation do not make another text; letters do, and so do emoji alone."""
    assert normalise("Hello,  WORLD!!") == normalise("hello world")
    assert normalise("hello world") != normalise("hello word")
    assert normalise("🔪") != normalise("🦊")


def test_split_is_stable_and_mostly_train() -> None:
    """The split depends on the group's name only; about 78 of 100 groups train."""
    splits = [split_of(f"group {number}") for number in range(2000)]
    assert splits == [split_of(f"group {number}") for number in range(2000)]
    assert 0.75 < splits.count("train") / len(splits) < 0.81
    assert {"train", "dev", "calib", "test"} == set(splits)


def test_same_rows_have_the_same_hash() -> None:
    """The order of rows does not matter; a text, a place or a split more does."""
    rows = made_rows(60)
    assert record(rows) == record(rows[::-1])
    assert digest(rows) != digest(rows[1:])
    other = msgspec.structs.replace(rows[0], text="another text")
    assert digest(rows) != digest([other, *rows[1:]])
    moved = msgspec.structs.replace(rows[0], place="elsewhere:0")
    assert digest(rows) != digest([moved, *rows[1:]])


def test_frozen_splits_are_compared_by_source_and_split(tmp_path: Path) -> None:
    """What is written reads back as the same; another row is told with its source and split."""
    rows, path = made_rows(60), tmp_path / "splits.json"
    freeze(rows, path)
    assert record(rows) == frozen(path)
    assert [] == differences(rows, path)
    gone = split_of(rows[0].group)
    assert [f"davidson/{gone}"] == differences(rows[1:], path)


def test_frozen_file_holds_no_text() -> None:
    """Counts and hashes only, of every set, and 78 of 100 groups train."""
    held = frozen()
    assert set(FOLDER_SOURCES) == set(held)
    parts = [part for splits in held.values() for part in splits.values()]
    assert all({"rows", "sha256"} == set(part) and 64 == len(str(part["sha256"])) for part in parts)
    rows = Counter(dict.fromkeys(("train", "dev", "calib", "test"), 0))
    for splits in held.values():
        rows.update({split: int(part["rows"]) for split, part in splits.items()})
    assert 0.75 < rows["train"] / rows.total() < 0.81


@pytest.mark.data
def test_code_and_file_agree() -> None:
    """The splits that code makes of the real sets are the frozen ones."""
    assert record(load_rows(SHARED_DATA)) == frozen()


@pytest.mark.data
def test_official_splits_leak() -> None:
    """Why they are not used: validation rows share conversations, contexts and twins with training rows."""
    leaks = {leak.source: (leak.leaking, leak.rows) for leak in official_leaks(SHARED_DATA)}
    assert {"convabuse": (293, 830), "diasafety": (485, 1093), "hatemoji": (458, 587)} == leaks
