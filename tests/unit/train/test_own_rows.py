"""Our own rows: all different, and none that anything is measured with or shown by."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from tests.conftest import SHARED_DATA
from worker import demo
from worker.train.data import benign_chat, contrast, identity
from worker.train.data.labels import ABUSE, CIVILITY, HATE, SEXISM, SPAM, TOXICITY
from worker.train.evaluation.fairness import hard_negatives, read_templates


def _plain(text: str) -> str:
    return text.lower().strip(" .!?")


BENIGN: Final = pytest.mark.parametrize("own", [benign_chat, identity])
ALL: Final = pytest.mark.parametrize("own", [benign_chat, contrast, identity])


@BENIGN
def test_rows_are_benign_and_different(own: ModuleType) -> None:
    """Each is a text of its own that is in no concept, of no split, and free to use."""
    rows = own.rows()
    assert len({row.text for row in rows}) == len(rows) == own.ROWS
    assert all(row.known[key] is False for row in rows for key in (HATE, SEXISM, CIVILITY, ABUSE))
    assert not any(any(row.known.values()) for row in rows)
    assert all(row.commercial for row in rows)
    assert not any("{" in row.text for row in rows)


def test_both_sides_have_the_same_words() -> None:
    """Half of the rows harm nobody; every policy that asks for one label can ask all rows; a group is on both sides."""
    rows = contrast.rows()
    harmful = [row for row in rows if any(row.known.values())]
    assert len({row.text for row in rows}) == len(rows) == contrast.ROWS
    assert 0.45 < len(harmful) / len(rows) < 0.55
    assert {key for key in (HATE, SEXISM, SPAM, CIVILITY, TOXICITY) if all(key in row.known for row in rows)} == {
        *(HATE, SEXISM, SPAM, CIVILITY, TOXICITY)
    }
    for name in ("Muslims", "women", "refugees", "gay people"):
        labels = [row.known[HATE] for row in rows if name.lower() in row.text.lower()]
        assert 0.25 < sum(labels) / len(labels) < 0.75, name
    assert not any("{" in row.text for row in rows)


@ALL
def test_a_seed_gives_the_same_rows(own: ModuleType) -> None:
    """A run can be repeated."""
    assert own.rows(50, seed=3) == own.rows(50, seed=3) != own.rows(50, seed=4)


def test_more_than_there_are_is_refused() -> None:
    """Not answered with doubles, and not looked for without end."""
    with pytest.raises(ValueError, match="ask for fewer, or write more"):
        benign_chat.rows(20_000)


@ALL
def test_nothing_is_measured_or_shown_with_them(own: ModuleType) -> None:
    """Neither the hard negatives nor the demonstration and its golden cases have one of these messages."""
    shown = Path(demo.__file__).parent
    lines = (shown / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    others = {_plain(one.text) for one in hard_negatives()} | {_plain(json.loads(line)["text"]) for line in lines}
    policies = [json.loads(path.read_text(encoding="utf-8")) for path in (shown / "policies").iterdir()]
    others |= {_plain(case["text"]) for policy in policies for case in policy.get("golden", ())}
    assert len(others) > 500
    assert not others & {_plain(row.text) for row in own.rows()}


@ALL
@pytest.mark.data
def test_no_sentence_is_measured_with(own: ModuleType) -> None:
    """The templates that measure the gap are not trained on."""
    measured = {text.lower().rstrip(".") for _, text in read_templates(SHARED_DATA)}
    assert not measured & {row.text.lower().rstrip(".") for row in own.rows()}
