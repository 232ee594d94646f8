"""Our own benign rows: all different, all negative, and none that anything is measured with or shown by."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from tests.conftest import SHARED_DATA
from worker import demo
from worker.train.data import benign_chat, identity
from worker.train.data.labels import ABUSE, CIVILITY, HATE, SEXISM
from worker.train.evaluation.fairness import hard_negatives, read_templates


def _plain(text: str) -> str:
    return text.lower().strip(" .!?")


BOTH: Final = pytest.mark.parametrize("own", [benign_chat, identity])


@BOTH
def test_rows_are_benign_and_different(own: ModuleType) -> None:
    """Each is a text of its own that is in no concept, of no split, and free to use."""
    rows = own.rows()
    assert len({row.text for row in rows}) == len(rows) == own.ROWS
    assert all(row.known[key] is False for row in rows for key in (HATE, SEXISM, CIVILITY, ABUSE))
    assert not any(any(row.known.values()) for row in rows)
    assert all(row.commercial for row in rows)
    assert not any("{" in row.text for row in rows)


@BOTH
def test_a_seed_gives_the_same_rows(own: ModuleType) -> None:
    """A run can be repeated."""
    assert own.rows(50, seed=3) == own.rows(50, seed=3) != own.rows(50, seed=4)


def test_more_than_there_are_is_refused() -> None:
    """Not answered with doubles, and not looked for without end."""
    with pytest.raises(ValueError, match="ask for fewer, or write more"):
        benign_chat.rows(20_000)


def test_nothing_is_measured_or_shown_with_them() -> None:
    """Neither the hard negatives nor the demonstration has one of these messages."""
    lines = (Path(demo.__file__).parent / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    others = {_plain(one.text) for one in hard_negatives()} | {_plain(json.loads(line)["text"]) for line in lines}
    assert len(others) > 500
    assert not others & {_plain(row.text) for row in benign_chat.rows()}


@pytest.mark.data
def test_no_sentence_is_measured_with() -> None:
    """The templates that measure the gap are not trained on."""
    measured = {text.lower().rstrip(".") for _, text in read_templates(SHARED_DATA)}
    assert not measured & {row.text.lower().rstrip(".") for row in identity.rows()}
