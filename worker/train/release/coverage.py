"""Which categories a model was trained and tested on, from what was counted. Pure.

All of RSafe's own 18 categories stand in it (arXiv 2506.07736), also those that no row was labelled for:
whoever serves the model has to know that they were never tested. The two about minors are unsupported
whatever is trained: finding such material takes people and the matching of known hashes, not the
opinion of a language model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, structs

from worker.judge.coverage import Coverage, Covered
from worker.train.data.rows import Row
from worker.train.data.taxonomy import MINORS, RSAFE
from worker.train.policies.concept import Concept

_MINORS_NOTE: Final = "needs people and the matching of known hashes; no verdict of a model is enough"
#: Fewer test rows, or none of one label, are no test.
MIN_TEST_ROWS: Final = 30


class Count(Struct, frozen=True, kw_only=True):
    """How many rows, and how many of them unsafe."""

    rows: int
    unsafe: int

    def __add__(self, other: Count) -> Count:
        """Add up two counts of different rows."""
        return Count(rows=self.rows + other.rows, unsafe=self.unsafe + other.unsafe)


_NONE: Final = Count(rows=0, unsafe=0)


def counts(rows: Iterable[Row]) -> dict[str, Count]:
    """Count the rows that are labelled for each concept."""
    found: dict[str, Count] = {}
    for row in rows:
        for key, value in row.known.items():
            found[key] = found.get(key, _NONE) + Count(rows=1, unsafe=int(value))
    return found


def measured_counts(measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Count]:
    """Count the rows behind figures that are named ``<set>/<concept>``, by concept.

    Figures by several sets add up; a set's figure without one of the labels says nothing and is left out.
    """
    found: dict[str, Count] = {}
    for name, one in measured.items():
        key = name.partition("/")[2]
        if 0 < one["unsafe"] < one["rows"]:
            found[key] = found.get(key, _NONE) + Count(rows=one["rows"], unsafe=one["unsafe"])
    return found


def coverage(
    model: str,
    date: str,
    concepts: Mapping[str, Concept],
    trained: Mapping[str, Count],
) -> Coverage:
    """Say what is covered; nothing is tested yet (``with_tests``).

    Args:
        model: the folder's ``model_key``.
        date: the day, ISO 8601.
        concepts: what can be trained, with the ids and names that policies use for it.
        trained: training rows by concept; parts of a concept are left out.

    """
    known = [_concept(item, trained.get(key, _NONE)) for key, item in concepts.items()]
    others = [_rsafe(*entry) for entry in RSAFE if entry[1] not in concepts]
    return Coverage(model=model, date=date, categories=(*known, *others))


def with_tests(found: Coverage, tested: Mapping[str, Count]) -> Coverage:
    """Put the rows that a model was tested on into its coverage."""
    return structs.replace(
        found, categories=tuple(_tested(item, tested.get(item.concept, _NONE)) for item in found.categories)
    )


def _tested(item: Covered, tested: Count) -> Covered:
    enough = tested.rows >= MIN_TEST_ROWS and 0 < tested.unsafe < tested.rows
    return structs.replace(item, test_rows=tested.rows, test_unsafe=tested.unsafe, tested=enough)


def _concept(concept: Concept, trained: Count) -> Covered:
    return Covered(
        concept=concept.key,
        ids=concept.ids,
        names=concept.names,
        train_rows=trained.rows,
        train_unsafe=trained.unsafe,
        supported=concept.key not in MINORS,
        note=_note(concept.key, trained),
    )


def _rsafe(one: str, key: str, name: str) -> Covered:
    return Covered(concept=key, ids=(one,), names=(name,), supported=key not in MINORS, note=_note(key, _NONE))


def _note(key: str, trained: Count) -> str:
    if key in MINORS:
        return _MINORS_NOTE
    return "" if trained.rows else "never seen"
