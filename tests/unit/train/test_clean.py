"""Texts brought to plain text, and rows that repeat or contradict each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.folding import bare
from worker.records import Turn
from worker.train.data.clean import clean, settle
from worker.train.data.labels import ABUSE, BIAS, HATE, HATE_RACE, HATE_RELIGION, TOXICITY
from worker.train.data.rows import Row


def _row(text: str, known: dict[str, bool], number: int = 0, **more: object) -> Row:
    return Row(source="davidson", place=f"made:{number}", text=text, known=known, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "raw, plain",
    [
        pytest.param("Tom &amp;amp; Ann&#8217;s  cat\n", "Tom & Ann\u2019s cat", id="escaped twice, and space"),
        pytest.param("it\x92s \x93here\x94 \x96 now", "it\u2019s \u201chere\u201d \u2013 now", id="windows"),
        pytest.param("don\ufffd\ufffdt ask a doctor\ufffd\ufffd", "don't ask a doctor", id="lost apostrophe"),
        pytest.param("\ufeffre\u200bset \u202a", "reset", id="no width"),
        pytest.param("👩\u200d👧 is one", "👩\u200d👧 is one", id="joined emoji stay joined"),
        pytest.param("[USER] see [URL]", "@USER see [url]", id="placeholders"),
    ],
)
def test_texts_are_plain(raw: str, plain: str) -> None:
    """Escapes, wrong encodings and invisible marks are undone."""
    assert plain == clean(raw)


@given(st.text())
def test_plain_text_stays_and_copies_are_the_same(text: str) -> None:
    """No control is left, cleaning a bare text is stable, and case or punctuation make no other text."""
    plain = clean(text)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in plain)
    assert bare(f" {plain}!! ") == bare(plain)


def test_emoji_make_another_text() -> None:
    """A pair that differs by its emoji alone is two texts, so its labels do not contradict."""
    kept = settle([_row("you are 🦊", {HATE: False}), _row("you are 🐍", {HATE: True}, 1)])
    assert 2 == len(kept.rows)
    assert not kept.copies | kept.outvoted | kept.tied


def test_copies_become_one_row_with_all_labels() -> None:
    """What agrees is one row; labels of several questions add up, and quotes stand in the first text."""
    rows = [_row("Go away!", {ABUSE: True}, evidence=("Go",)), _row("go away", {BIAS: False}, 1, evidence=("go",))]
    kept = settle(rows)
    assert [{ABUSE: True, BIAS: False}] == [row.known for row in kept.rows]
    assert [("Go",)] == [row.evidence for row in kept.rows]
    assert {"davidson": 1} == kept.copies


def test_majority_settles_a_contradiction() -> None:
    """Two against one: the outvoted row goes, and is counted."""
    rows = [_row("odd", {TOXICITY: value}, number) for number, value in enumerate([True, False, True])]
    kept = settle(rows)
    assert [{TOXICITY: True}] == [row.known for row in kept.rows]
    assert ({"davidson": 1}, {"davidson": 1}, {}) == (kept.outvoted, kept.copies, kept.tied)


def test_even_votes_drop_all() -> None:
    """One against one tells nothing; a copy that was asked something else stays."""
    rows = [_row("odd", {TOXICITY: True}), _row("odd.", {TOXICITY: False}, 1), _row("odd", {BIAS: True}, 2)]
    kept = settle(rows)
    assert [{BIAS: True}] == [row.known for row in kept.rows]
    assert {"davidson": 2} == kept.tied


def test_parts_that_differ_are_unknown() -> None:
    """Copies that agree on the concept and not on its parts stay, without the part in dispute."""
    rows = [
        _row("odd", {HATE: True, HATE_RACE: True, HATE_RELIGION: False}),
        _row("odd", {HATE: True, HATE_RACE: False, HATE_RELIGION: False}, 1),
    ]
    (row,) = settle(rows).rows
    assert {HATE: True, HATE_RELIGION: False} == row.known


def test_context_makes_another_row() -> None:
    """The same words after another turn are not a copy."""
    asked = [(Turn(role="agent", text=text),) for text in ("Shall I go?", "Shall I stay?")]
    kept = settle([_row("yes", {ABUSE: bool(number)}, number, context=turns) for number, turns in enumerate(asked)])
    assert 2 == len(kept.rows)
