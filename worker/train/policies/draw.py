"""Policies for training: which concepts may stand together, and in which words. Pure, given a generator."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from worker.policy.model import EffectiveCategory, Panel, Prose
from worker.records import Clause
from worker.train.data.labels import Sense, one
from worker.train.data.rows import Row
from worker.train.policies.wordings import CONCEPTS, Concept

MAX_CATEGORIES: Final = 3
_SIZES: Final = ((1, 0.5), (2, 0.35), (3, 0.15))
#: A set of concepts is used only if it has so many safe rows and as many unsafe ones: else the
#: policy alone would tell the label.
MIN_ROWS: Final = 100
_OPAQUE: Final = 0.12
_OTHER_WORDS: Final = 0.3
_DEFINITION: Final = 0.6
_VIOLATES: Final = 0.4
_ALLOWED: Final = 0.6
_WITH_OWN: Final = 0.8
_NUMBERED: Final = 0.4
_PROSE: Final = 0.12
_PROSES: Final = (
    "Be kind to each other.",
    "Players may be loud here.",
    "This is a professional network.",
    "A market place for private sellers.",
    "Keep to the subject of the channel.",
)


class Wording(Struct, frozen=True, kw_only=True):
    """A policy, and what each of its categories asks, in the same order."""

    panel: Panel
    senses: tuple[Sense, ...]

    def values(self, known: Mapping[str, bool]) -> tuple[bool, ...]:
        """Return whether a row meets each category.

        Raises:
            ValueError: the row's labels do not say; such a row is not built.

        """
        held = [sense.holds(known) for sense in self.senses]
        if None in held:
            text = f"a category asks for {self.senses[held.index(None)].any_of}, which the row's labels do not tell"
            raise ValueError(text)
        return tuple(bool(value) for value in held)


def balanced_sets(rows: Iterable[Row], min_rows: int = MIN_ROWS) -> frozenset[frozenset[str]]:
    """Return the sets of concepts that have at least ``min_rows`` safe and as many unsafe rows."""
    safe: Counter[frozenset[str]] = Counter()
    unsafe: Counter[frozenset[str]] = Counter()
    for row in rows:
        for keys in subsets(row.known):
            (unsafe if any(row.known[key] for key in keys) else safe)[keys] += 1
    return frozenset(keys for keys in safe | unsafe if min(safe[keys], unsafe[keys]) >= min_rows)


def subsets(known: Iterable[str]) -> list[frozenset[str]]:
    """Return every set of one to ``MAX_CATEGORIES`` known concepts."""
    keys = sorted(known)
    sizes = range(1, MAX_CATEGORIES + 1)
    return [frozenset(chosen) for size in sizes for chosen in itertools.combinations(keys, size)]


def draw(rng: random.Random, known: Iterable[str], allowed: frozenset[frozenset[str]], own: Sequence[str]) -> Wording:
    """Draw a policy over known concepts only; four times out of five one of ``own`` is among them.

    ``own`` are the concepts that the rows' data set was labelled for.
    """
    choices = [keys for keys in subsets(known) if keys in allowed]
    if rng.random() < _WITH_OWN:
        choices = [keys for keys in choices if keys & set(own)] or choices
    sizes = {len(keys) for keys in choices}
    weights = [(size, weight) for size, weight in _SIZES if size in sizes]
    size = rng.choices([size for size, _ in weights], [weight for _, weight in weights])[0]
    keys = sorted(rng.choice([keys for keys in choices if len(keys) == size]))
    rng.shuffle(keys)
    return word(rng, keys)


def word(rng: random.Random, keys: Sequence[str]) -> Wording:
    """Put concepts into the words of a policy."""
    opaque = rng.random() < _OPAQUE
    numbers = rng.sample(range(1, 40), len(keys))
    letter = rng.choice("ABCDEGKMRSTX")
    defined, exact = rng.random() < _DEFINITION, rng.random() < _VIOLATES
    categories = tuple(
        _category(rng, CONCEPTS[key], f"{letter}{number}" if opaque else None, defined=defined, exact=exact)
        for key, number in zip(keys, numbers, strict=True)
    )
    prose = (Prose(scope="t", text=rng.choice(_PROSES)),) if rng.random() < _PROSE else ()
    return Wording(panel=Panel(categories=categories, prose=prose), senses=tuple(map(one, keys)))


def _category(
    rng: random.Random, concept: Concept, opaque: str | None, *, defined: bool, exact: bool
) -> EffectiveCategory:
    other = rng.random() < _OTHER_WORDS
    violates = rng.sample(concept.violates, rng.randint(1, 2)) if exact else []
    allowed = [rng.choice(concept.allowed)] if exact and concept.allowed and rng.random() < _ALLOWED else []
    return EffectiveCategory(
        scope="t",
        id=opaque or (rng.choice(concept.ids) if other else concept.ids[0]),
        name=rng.choice(concept.names) if other else concept.names[0],
        definition=rng.choice(concept.definitions) if defined else "",
        violates=_clauses(rng, violates, "v"),
        allowed=_clauses(rng, allowed, "a"),
    )


def _clauses(rng: random.Random, texts: Sequence[str], letter: str) -> tuple[Clause, ...]:
    """Give clauses ids as authors do: numbers, or a word of the clause."""
    numbered = rng.random() < _NUMBERED
    ids = [
        f"{letter}{place + 1}" if numbered else max(text.rstrip(".").split(), key=len).lower()
        for place, text in enumerate(texts)
    ]
    return tuple(Clause(id=name, text=text) for name, text in zip(ids, texts, strict=True))
