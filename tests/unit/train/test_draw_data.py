"""What policies say of the label on the real training rows, and that topics are nobody's subject there."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.train.data.linear import fit_all
from worker.train.data.load import DEFAULT_DIR, load_rows, split_rows
from worker.train.data.rows import Row
from worker.train.data.widen import widen
from worker.train.examples.format import OWN
from worker.train.policies.draw import KINDS, balanced_sets, draw
from worker.train.policies.heldout import WORDS
from worker.train.policies.wordings import TRAINING

pytestmark = [pytest.mark.data, pytest.mark.slow]

#: P(unsafe) under the policies of one kind; the table is printed.
BOUNDS = (0.12, 0.75)
MAX_TOPIC_SHARE = 0.0005
_GROUP_SIZE = 6
_ROWS = 12_000


@pytest.fixture(scope="module")
def train() -> list[Row]:
    """All training rows."""
    return split_rows(load_rows(Path(__file__).parents[3] / DEFAULT_DIR))["train"]


def _wide(rows: list[Row], rng: random.Random) -> list[Row]:
    """Widen the labels of a sample, by linear models of that sample, as a run does with all rows."""
    some = rng.sample(rows, _ROWS)
    return widen(some, fit_all(some))


def _groups(rows: list[Row]) -> Iterator[list[Row]]:
    """Group rows that share the labels of their own source, whatever else each knows."""
    lines: dict[tuple[str, frozenset[str]], list[Row]] = defaultdict(list)
    for row in rows:
        lines[row.source, frozenset(row.known) & set(OWN[row.source])].append(row)
    for line in lines.values():
        yield from (line[start : start + _GROUP_SIZE] for start in range(0, len(line), _GROUP_SIZE))


def test_no_kind_of_policy_tells_the_label(train: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
    """On real rows the share of unsafe under each kind is within bounds, but where the own concept is absent."""
    rng = random.Random(7)
    wide = _wide(train, rng)
    sets = balanced_sets(wide, min_rows=30)
    unsafe: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for group in _groups(wide):
        known = set.intersection(*(set(row.known) for row in group))
        wording = draw(rng, known, sets, OWN[group[0].source], [row.known for row in group])
        rows[wording.kind] += len(group)
        unsafe[wording.kind] += sum(any(wording.values(row.known)) for row in group)
    shares = {kind: unsafe[kind] / rows[kind] for kind in KINDS}
    with capsys.disabled():
        table = ", ".join(f"{kind} {shares[kind]:.2f} of {rows[kind]}" for kind in KINDS)
        print(f"\nP(unsafe | kind), seed 7: {table}")
    assert all(BOUNDS[0] <= share <= BOUNDS[1] for kind, share in shares.items() if kind != "absent")
    assert shares["absent"] < BOUNDS[0]
    assert rows.most_common(1)[0][0] == "plain"


@pytest.mark.parametrize("stock", [TRAINING, WORDS], ids=["training", "held out"])
def test_no_row_is_about_a_topic(stock: object, train: list[Row]) -> None:
    """A topic's own words are in next to no row, so that it may stand in any policy as not met."""
    assert isinstance(stock, type(TRAINING))
    for topic in stock.topics:
        signs = re.compile(r"\b(?:" + "|".join(map(re.escape, topic.signs)) + r")\b", re.IGNORECASE)
        hits = sum(bool(signs.search(row.text)) for row in train)
        assert hits <= MAX_TOPIC_SHARE * len(train), topic.name
