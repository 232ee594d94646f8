"""Policies for training: which concepts may stand together, and in which words. Pure, given a generator.

What a category asks (its ``Sense``) decides the label; name, id, definition, clauses and order vary.
Wherever name and definition disagree, the definition says what is asked, so a name is never enough.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from worker.train.data.labels import PARTS, concept_of, is_part
from worker.train.data.rows import Row
from worker.train.data.taxonomy import UNSAFE, WHOLE
from worker.train.policies.concept import Topic
from worker.train.policies.maker import MAX_CATEGORIES, Maker, Weighed
from worker.train.policies.wording import Wording
from worker.train.policies.wordings import CONCEPTS, TRAINING

__all__ = [
    "KINDS",
    "MAX_CATEGORIES",
    "MIN_ROWS",
    "Wording",
    "balanced_sets",
    "draw",
    "draw_whole",
    "drawn_from",
    "part_sets",
    "subsets",
    "word",
]

#: A set of concepts is used only if it has so many safe rows and as many unsafe ones: else the
#: policy alone would tell the label.
MIN_ROWS: Final = 100
#: The same for parts of a concept, which are rarer: a fraction of ``MIN_ROWS``.
_PART_ROWS: Final = 4
MAX_PARTS: Final = 3
#: So many known concepts still have few sets (246); beyond, sets are small.
_MANY: Final = 8
_FEW: Final = 3
_PART_SIZES: Final = (0.3, 0.35, 0.35)
_SIZES: Final = (0.45, 0.28, 0.14, 0.07, 0.04, 0.02)
#: How policies are varied, and how often. A kind that the row's labels do not allow becomes a plain one.
KINDS: Final[dict[str, float]] = {
    "plain": 0.2,
    "absent": 0.19,
    "opaque": 0.06,
    "clauses": 0.12,
    "swapped": 0.16,
    "narrowed": 0.14,
    "widened": 0.05,
    "misnamed": 0.08,
}
_WITH_OWN: Final = 0.9
#: How often a policy without the row's own concepts asks for another one; else it has topics alone.
_OTHERS_ASKED: Final = 0.6
#: How much likelier parts are that some of the group's rows show and others do not, or that all show.
_SPLITS: Final = 6.0
_HOLDS: Final = 3.0
#: How often a definition is left alone where no row of the group is in the concept: narrowed, it would be safe for all.
_SPARED: Final = 0.7
#: How often rows whose verdict over the whole taxonomy is known are asked for single categories, where they can be.
_SINGLE: Final = 0.5
#: How often the whole taxonomy stands in RSafe's order.
_IN_ORDER: Final = 0.5
_WHOLE: Final = frozenset({UNSAFE})


def balanced_sets(rows: Iterable[Row], min_rows: int = MIN_ROWS) -> frozenset[frozenset[str]]:
    """Return what a policy may be drawn from: sets with enough safe and enough unsafe rows.

    A set is one of concepts (a policy of several categories), of parts of one concept (a narrowed
    definition), or the one label of the whole taxonomy. Sets of parts need a quarter of ``min_rows``.
    """
    safe: Counter[frozenset[str]] = Counter()
    unsafe: Counter[frozenset[str]] = Counter()
    for labels, count in Counter(frozenset(row.known.items()) for row in rows).items():
        known = dict(labels)
        for keys in (*subsets(known), *part_sets(known), *whole_sets(known)):
            (unsafe if any(known[key] for key in keys) else safe)[keys] += count
    return frozenset(keys for keys in safe | unsafe if min(safe[keys], unsafe[keys]) >= _needed(keys, min_rows))


def _needed(keys: frozenset[str], min_rows: int) -> int:
    return max(1, min_rows // _PART_ROWS) if any(map(is_part, keys)) else min_rows


def subsets(known: Iterable[str]) -> list[frozenset[str]]:
    """Return every set of one to ``MAX_CATEGORIES`` known concepts that there are words for.

    Where more than ``_MANY`` are known, sets have three concepts at most, since their number explodes.
    """
    keys = sorted(key for key in known if key in CONCEPTS)
    sizes = range(1, (MAX_CATEGORIES if len(keys) <= _MANY else _FEW) + 1)
    return [frozenset(chosen) for size in sizes for chosen in itertools.combinations(keys, size)]


def part_sets(known: Iterable[str]) -> list[frozenset[str]]:
    """Return every set of one to ``MAX_PARTS`` known parts of one concept."""
    keys = set(known)
    sizes = range(1, MAX_PARTS + 1)
    return [
        frozenset(chosen)
        for parts in PARTS.values()
        for size in sizes
        for chosen in itertools.combinations([part for part in parts if part in keys], size)
    ]


def whole_sets(known: Iterable[str]) -> list[frozenset[str]]:
    """Return the set that stands for a policy of the whole taxonomy, where its verdict is known."""
    return [_WHOLE] if UNSAFE in known else []


def draw_whole(rng: random.Random) -> Wording:
    """Draw a policy of the whole taxonomy: RSafe's order or another, ids, names and definitions varied."""
    keys = list(WHOLE) if rng.random() < _IN_ORDER else rng.sample(WHOLE, len(WHOLE))
    return msgspec.structs.replace(Maker(rng, keys, "", (), ()).whole(), overall=UNSAFE)


def drawn_from(
    rng: random.Random,
    known: Iterable[str],
    allowed: frozenset[frozenset[str]],
    own: Sequence[str],
    group: Sequence[Mapping[str, bool]],
    topics: Sequence[Topic],
) -> Wording:
    """Draw a policy for rows whose verdict over the whole taxonomy is known: half of the time just that.

    Args:
        rng: the generator.
        known: the keys that every row of the group knows.
        allowed: ``balanced_sets`` of the training rows.
        own: the concepts that the rows' data set was labelled for.
        group: the labels of the rows that will share the policy.
        topics: what certainly none of the rows is about.

    Raises:
        ValueError: neither the whole nor any set of known concepts is allowed.

    """
    keys = frozenset(known)
    single = bool(_usable(keys, allowed)[0])
    if UNSAFE in keys and _WHOLE in allowed and not (single and rng.random() < _SINGLE):
        return draw_whole(rng)
    kinds = KINDS if topics else {kind: share for kind, share in KINDS.items() if kind != "absent"}
    return draw(rng, keys, allowed, own, group, kinds, topics)


@lru_cache(maxsize=4096)
def _usable(known: frozenset[str], allowed: frozenset[frozenset[str]]) -> tuple[tuple[frozenset[str], ...], ...]:
    """Return the allowed sets of known concepts, and those of known parts."""
    concepts = tuple(keys for keys in subsets(known) if keys in allowed)
    return concepts, tuple(keys for keys in part_sets(known) if keys in allowed)


def draw(
    rng: random.Random,
    known: Iterable[str],
    allowed: frozenset[frozenset[str]],
    own: Sequence[str],
    group: Sequence[Mapping[str, bool]] = (),
    kinds: Mapping[str, float] = KINDS,
    topics: Sequence[Topic] = TRAINING.topics,
) -> Wording:
    """Draw a policy over known labels only; most have a concept of ``own``, and in ``absent`` ones it is missing.

    Args:
        rng: the generator.
        known: the keys that every row of the group knows.
        allowed: ``balanced_sets`` of the training rows.
        own: the concepts that the rows' data set was labelled for.
        group: the labels of the rows that will share the policy, if they are to steer narrowing: it is rarer
            where no row is in the concept, and parts that split those that are come first. Both bring the
            share of unsafe rows under narrowed policies nearer to a half.
        kinds: how often each kind of policy is drawn.
        topics: what certainly no row of the group is about.

    Raises:
        ValueError: no allowed set is known.

    """
    concepts, parts = _usable(frozenset(known), allowed)
    kind = rng.choices(tuple(kinds), tuple(kinds.values()))[0]
    if kind == "absent":
        others = [keys for keys in concepts if keys.isdisjoint(own)]
        keys = _concepts(rng, others, own) if others and rng.random() < _OTHERS_ASKED else []
        return Maker(rng, keys, "", (), (), topics).make(kind)
    keys = _concepts(rng, concepts, own)
    target = rng.choice([key for key in keys if key in own] or keys)
    if kind == "narrowed" and _nobody_in(target, group) and rng.random() < _SPARED:
        kind = "plain"
    maker = Maker(rng, keys, target, concepts, _splitting(parts, target, group), topics)
    return maker.make(kind)


def word(rng: random.Random, keys: Sequence[str]) -> Wording:
    """Put concepts into the words of a policy that is not varied further."""
    return Maker(rng, list(keys), keys[0], (), ()).make("plain")


def _concepts(rng: random.Random, choices: Sequence[frozenset[str]], own: Sequence[str]) -> list[str]:
    if not choices:
        text = "no set of the row's concepts is allowed; see balanced_sets"
        raise ValueError(text)
    if rng.random() < _WITH_OWN:
        choices = [keys for keys in choices if not keys.isdisjoint(own)] or choices
    by_size: dict[int, list[frozenset[str]]] = {}
    for keys in choices:
        by_size.setdefault(len(keys), []).append(keys)
    size = rng.choices(list(by_size), [_SIZES[size - 1] for size in by_size])[0]
    chosen = sorted(rng.choice(by_size[size]))
    rng.shuffle(chosen)
    return chosen


def _nobody_in(target: str, group: Sequence[Mapping[str, bool]]) -> bool:
    return bool(group) and not any(known.get(target) for known in group)


def _splitting(
    parts: Sequence[frozenset[str]], target: str, group: Sequence[Mapping[str, bool]]
) -> tuple[Weighed, ...]:
    """Weigh the sets of the target's parts: by their size, then by what they say of the group."""
    mine = [keys for keys in parts if concept_of(next(iter(keys))) == target]
    sizes = Counter(map(len, mine))
    inside = [known for known in group if known.get(target)]
    return tuple((keys, _PART_SIZES[len(keys) - 1] / sizes[len(keys)] * _telling(keys, inside)) for keys in mine)


def _telling(keys: frozenset[str], group: Sequence[Mapping[str, bool]]) -> float:
    """Weigh a set of parts: best are some rows in and some out, then all in, then all out."""
    values = {any(known.get(key, False) for key in keys) for known in group}
    if len(values) > 1:
        return _SPLITS
    return _HOLDS if True in values else 1.0
