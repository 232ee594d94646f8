"""Which rows fit a kind of policy pair, and which of them are taken. Pure, given a generator."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from worker.train.data.labels import PARTS, concept_of, is_part
from worker.train.data.rows import Row

_MAX_PARTS: Final = 2
#: A label of a source is asked only if both values are there and each has such a share of the rows.
_MIN_SHARE: Final = 0.02
#: Categories beside the one that is edited, at most.
OTHERS: Final = 2
#: The (source, concept) pairs whose rows have both labels.
Live = frozenset[tuple[str, str]]
Finder = Callable[[Row, Live, random.Random], Iterator["Case"]]


class Case(Struct, frozen=True, kw_only=True):
    """A row, the concept that is edited, and what the edit brings in: another concept, or parts."""

    row: Row
    key: str
    others: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether the row is in the concept."""
        return self.row.known[self.key]


def live_labels(rows: Sequence[Row]) -> Live:
    """Return the (source, concept) pairs whose rows have both labels."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        for key, value in row.known.items():
            if not is_part(key):
                counts[row.source, key][value] += 1
    return frozenset(pair for pair, both in counts.items() if min(both) >= max(1, _MIN_SHARE * sum(both)))


def _asked(row: Row, live: Live) -> list[str]:
    return sorted(key for key in row.known if (row.source, key) in live)


def any_label(row: Row, live: Live, rng: random.Random) -> Iterator[Case]:
    """Find the concepts that a row's source was labelled for, with others that the row is certainly not."""
    for key in _asked(row, live):
        safe = sorted(other for other, value in row.known.items() if not value and not is_part(other) and other != key)
        yield Case(row=row, key=key, others=tuple(rng.sample(safe, min(OTHERS, len(safe)))))


def violating(row: Row, live: Live, rng: random.Random) -> Iterator[Case]:
    """Find, of ``any_label``, the concepts that the row is in."""
    return (case for case in any_label(row, live, rng) if case.met)


def parts_of(*, met: bool, has: bool) -> Finder:
    """Find rows whose label of a concept is ``met``, and parts of it of which the row has one, or none."""

    def find(row: Row, live: Live, rng: random.Random) -> Iterator[Case]:
        for key in _asked(row, live):
            known = [part for part in PARTS.get(key, ()) if part in row.known]
            sizes = range(1, min(_MAX_PARTS, len(known)) + 1)
            sets = [parts for size in sizes for parts in itertools.combinations(known, size)]
            fitting = [parts for parts in sets if any(row.known[part] for part in parts) is has]
            if row.known[key] is met and fitting:
                yield Case(row=row, key=key, others=rng.choice(fitting))

    return find


def two_concepts(wanted: Callable[[bool, bool], bool]) -> Finder:
    """Find rows that know two concepts, at least one of which their source was labelled for.

    ``wanted`` gets the values of the one that is listed and of the one that comes in.
    """

    def find(row: Row, live: Live, rng: random.Random) -> Iterator[Case]:
        asked, known = set(_asked(row, live)), row.known
        concepts = sorted(key for key in known if not is_part(key))
        two = itertools.permutations(concepts, 2)
        found = [keys for keys in two if asked & set(keys) and wanted(known[keys[0]], known[keys[1]])]
        if found:
            key, other = rng.choice(found)
            yield Case(row=row, key=key, others=(other,))

    return find


def one_of_two(row: Row, live: Live, rng: random.Random) -> Iterator[Case]:
    """Find rows that are in one and not in another of two concepts, or of two parts of one concept, that they know."""
    asked, known = set(_asked(row, live)), row.known
    found = [
        (key, other)
        for key, other in itertools.permutations(sorted(known), 2)
        if known[key] and not known[other] and _comparable(key, other) and asked & {concept_of(key), concept_of(other)}
    ]
    if found:
        key, other = rng.choice(found)
        yield Case(row=row, key=key, others=(other,))


def _comparable(key: str, other: str) -> bool:
    if is_part(key) and is_part(other):
        return concept_of(key) == concept_of(other)
    return not is_part(key) and not is_part(other)


def either(*finders: Finder) -> Finder:
    """Find what any of them finds."""

    def find(row: Row, live: Live, rng: random.Random) -> Iterator[Case]:
        return itertools.chain.from_iterable(finder(row, live, rng) for finder in finders)

    return find


def balanced(cases: Sequence[Case], rng: random.Random, limit: int) -> list[Case]:
    """Choose as many of each label as there are of both, and let sources and concepts take turns."""
    sides = [side for value in (True, False) if (side := [case for case in cases if case.met is value])]
    share = min([limit // len(sides), *map(len, sides)]) if sides else 0
    return [case for side in sides for case in _in_turns(side, rng)[:share]]


def _in_turns(cases: Sequence[Case], rng: random.Random) -> list[Case]:
    """Order cases so that sources take turns, and within a source its concepts."""
    lines: dict[str, dict[str, list[Case]]] = defaultdict(lambda: defaultdict(list))
    for case in rng.sample(list(cases), len(cases)):
        lines[case.row.source][case.key].append(case)
    return _alternate([_alternate([mine[key] for key in sorted(mine)]) for _, mine in sorted(lines.items())])


def _alternate(lines: Sequence[Sequence[Case]]) -> list[Case]:
    return [case for turn in itertools.zip_longest(*lines) for case in turn if case is not None]
