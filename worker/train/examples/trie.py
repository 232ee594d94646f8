"""Many examples in one sequence: their token lists as a trie, computed once where they agree. Pure.

Examples under one policy share its tokens, and an example's verdict with and without reasoning share
its message. A node attends to its ancestors only and its position is its depth, so every loss is
exactly that of the example alone, for about a third of the tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray


class Example(Struct, frozen=True, kw_only=True):
    """Token ids and what each counts for as a target (0: not a target); equal lengths."""

    ids: Sequence[int]
    weights: Sequence[float]


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
        self._read: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        """Count the nodes."""
        return len(self.tokens)

    def add(self, example: Example) -> None:
        """Add one example; a prompt that is there already is not counted as a target twice."""
        node = -1
        for token, weight in zip(example.ids, example.weights, strict=True):
            if weight and node >= 0:
                self._target(node, token, weight)
            node = self._child(node, token)
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

    def _target(self, node: int, token: int, weight: float) -> None:
        prompt = weight < 1.0
        if prompt and (node, token) in self._read:
            return
        self._read.add((node, token))
        self.targets.append((node, token, weight))

    def _child(self, node: int, token: int) -> int:
        found = self._children.get((node, token))
        if found is None:
            found = self._children[node, token] = len(self.tokens)
            self.tokens.append(token)
            self.parents.append(node)
            self.depths.append(self.depths[node] + 1 if node >= 0 else 0)
        return found
