"""Policies alone, before any message: what each category asks is learnt first, since it takes few tokens.

Beside messages a network meets some twenty categories a step; alone, a hundred and fifty.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from worker.judge import prompt
from worker.train.data.labels import PARTS
from worker.train.examples.batches import Batch, collate
from worker.train.examples.format import Formatter
from worker.train.examples.trie import Example, Family, Trie
from worker.train.policies.draw import draw, part_sets, subsets
from worker.train.policies.fray import fray
from worker.train.policies.wording import Wording, exchanged
from worker.train.policies.wordings import CONCEPTS

#: Turned-round and narrowed policies come more often than in ``draw``: no label follows that would become too likely.
KINDS: Final[Mapping[str, float]] = {
    "plain": 0.2,
    "absent": 0.1,
    "opaque": 0.05,
    "clauses": 0.15,
    "swapped": 0.15,
    "narrowed": 0.2,
    "widened": 0.08,
    "misnamed": 0.07,
}
_LEARNT_AS_LANGUAGE: Final = 0.2
_COPIED: Final = 0.5
_MAX_ASKED: Final = 2


def batch_of(rng: random.Random, formatter: Formatter, tokens: int, *, lm_weight: float, frayed: float) -> Batch:
    """Draw policies of about so many tokens in all; a fifth of them are learnt as language, too."""
    families: list[Family] = []
    while sum(map(len, families)) < tokens:
        wording = draw(rng, _keys(), _sets(), sorted(CONCEPTS), kinds=KINDS)
        wording = fray(rng, wording) if rng.random() < frayed else wording
        for one in filter(None, (wording, exchanged(wording))):
            weight = lm_weight if not families or rng.random() < _LEARNT_AS_LANGUAGE else 0.0
            families.append(_alone(rng, formatter, one, weight))
    return collate(families)


def _alone(rng: random.Random, formatter: Formatter, wording: Wording, lm_weight: float) -> Family:
    """Return a policy, and for half of them the reasoning about a message that is not there.

    A network that has met an id a thousand times writes it from memory; thousands of ids have to be copied.
    """
    ids = formatter.ids(prompt.prefix(formatter.template, wording.panel, "user"))
    trie = Trie()
    if rng.random() < _COPIED:
        trie.add(formatter.about_nothing(rng, wording))
    else:
        trie.add(Example(ids=ids[:1], weights=[0.0]))
    return Family(prefix=ids, branches=[trie], lm_weight=lm_weight, hints=formatter.policy_hints(wording))


@lru_cache(maxsize=1)
def _keys() -> tuple[str, ...]:
    return (*sorted(CONCEPTS), *itertools.chain.from_iterable(PARTS.values()))


@lru_cache(maxsize=1)
def _sets() -> frozenset[frozenset[str]]:
    """Return all sets of one or two concepts, or parts of one concept."""
    sets = (*subsets(_keys()), *part_sets(_keys()))
    return frozenset(keys for keys in sets if len(keys) <= _MAX_ASKED)
