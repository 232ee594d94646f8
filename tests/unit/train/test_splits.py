"""Rows that belong together stay together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

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
