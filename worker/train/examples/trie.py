"""Examples that share tokens, computed once where they agree. Pure.

Examples under one policy share its tokens, and an example's verdict with and without reasoning share
its message. A family is the policy's tokens and one trie for each message; a node attends to its
ancestors only and its position is its depth, so every loss is exactly that of the example alone, for
about a third of the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from worker.train.examples.hints import Hint


class Example(Struct, frozen=True, kw_only=True):
    """One sequence.

    Attributes:
        ids: its tokens.
        weights: what each token counts for as a target (0: not a target); as long as ``ids``.
        soft: (place, token, weight) targets besides: what else might stand at a place, as a teacher
            sees it.

    """

    ids: Sequence[int]
    weights: Sequence[float]
    soft: Sequence[tuple[int, int, float]] = ()
    asked: int = 0


class Trie:
    """A growing trie of examples.

    Attributes:
        tokens, parents, depths: by node, parents first; a root's parent is -1.
        targets: (node, next token, weight) triples.
        examples: how many were added.

    """

    def __init__(self) -> None:
        """Start empty."""
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self.targets: list[tuple[int, int, float]] = []
        self.examples = 0
        self._children: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.tokens)

    def add(self, example: Example) -> None:
        """Add one example; a prompt that is there already is not counted as a target twice."""
        node, before = -1, []
        for place, (token, weight) in enumerate(zip(example.ids, example.weights, strict=True)):
            before.append(node)
            if weight and node >= 0 and not (place < example.asked and (node, token) in self._children):
                self.targets.append((node, token, weight))
            node = self._child(node, token)
        self.targets += [(before[place], token, weight) for place, token, weight in example.soft]
        self.examples += 1

    def add_all(self, examples: Iterable[Example]) -> None:
        """Add several."""
        for example in examples:
            self.add(example)

    def mask(self, size: int) -> NDArray[np.bool_]:
        """Return who attends to whom: (size, size), rows beyond the trie attend to themselves."""
        mask = np.eye(size, dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node] |= mask[parent]
        return mask

    def _child(self, node: int, token: int) -> int:
        found = self._children.get((node, token))
        if found is None:
            found = self._children[node, token] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(node)
            self.depths.append(self.depths[node] + 1 if node >= 0 else 0)
        return found


class Family(Struct, frozen=True, kw_only=True):
    """The tokens that several messages share at their start, and one trie for each of them."""

    prefix: Sequence[int]
    branches: Sequence[Trie]
    lm_weight: float = 0.0
    hints: Sequence[Hint] = ()

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.prefix) + sum(len(branch) for branch in self.branches)

    @property
    def longest(self) -> int:
        """Count the nodes of the longest branch."""
        return max(len(branch) for branch in self.branches)


def family(shared: int, groups: Iterable[Sequence[Example]], lm_weight: float = 0.0) -> Family:
    """Join examples whose first ``shared`` tokens are equal; each group becomes one branch."""
    branches, prefix = [], None
    for group in groups:
        trie = Trie()
        for one in group:
            prefix = prefix or one.ids[:shared]
            soft = [(place - shared, token, weight) for place, token, weight in one.soft]
            trie.add(Example(ids=one.ids[shared:], weights=one.weights[shared:], soft=soft, asked=one.asked - shared))
        branches.append(trie)
    return Family(prefix=prefix or (), branches=branches, lm_weight=lm_weight)
