"""From families to tensors: nodes side by side without padding, and who attends to whom in small blocks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray
from torch import Tensor

from worker.train.examples.hints import KEYS
from worker.train.examples.trie import Family, Trie

BUFFER: Final = 96
_ROUND: Final = 8


class Block(Struct, frozen=True, kw_only=True):
    """Sequences whose nodes attend together.

    Attributes:
        asking: (sequences, length) nodes that attend.
        seen: (sequences, width) nodes that they may attend to.
        mask: (sequences, 1, length, width) booleans, true where a node attends.

    """

    asking: Tensor
    seen: Tensor
    mask: Tensor

    def to(self, device: str) -> Block:
        """Return the block on a device."""
        return Block(asking=self.asking.to(device), seen=self.seen.to(device), mask=self.mask.to(device))


class Told(Struct, frozen=True, kw_only=True):
    """Auxiliary targets of one kind.

    Attributes:
        places: (told,) index into the nodes.
        values: (told, outputs) between 0 and 1; NaN where nothing is known.

    """

    places: Tensor
    values: Tensor

    def to(self, device: str) -> Told:
        """Return them on a device."""
        return Told(places=self.places.to(device), values=self.values.to(device))


class Batch(Struct, frozen=True, kw_only=True):
    """One step's input; the nodes of all families stand in one row.

    Attributes:
        ids, positions: (nodes,) integers.
        blocks: the attention's parts.
        back: (nodes,) where each node stands in the blocks' ``asking`` laid end to end.
        places: (targets,) index into the nodes.
        targets, weights: (targets,) next tokens and what they count for.
        nodes, examples: how much is in it.
        policies, texts: what is told of categories and of messages (``hints``).

    """

    ids: Tensor
    positions: Tensor
    blocks: tuple[Block, ...]
    back: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    nodes: int
    examples: int
    policies: Told | None = None
    texts: Told | None = None

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch(
            ids=self.ids.to(device),
            positions=self.positions.to(device),
            blocks=tuple(block.to(device) for block in self.blocks),
            back=self.back.to(device),
            places=self.places.to(device),
            targets=self.targets.to(device),
            weights=self.weights.to(device),
            nodes=self.nodes,
            examples=self.examples,
            policies=self.policies and self.policies.to(device),
            texts=self.texts and self.texts.to(device),
        )


class _Branch(Struct, frozen=True):
    """A trie, its first node, and the nodes of the prefix that it follows."""

    trie: Trie
    start: int
    first: int
    shared: int


def batches(source: Iterable[Family], tokens_per_batch: int, max_length: int) -> Iterator[Batch]:
    """Put families of like length together within a buffer and yield batches, short and long ones mixed.

    A family with a sequence longer than ``max_length`` is left out.
    """
    stream = (one for one in source if len(one.prefix) + one.longest <= max_length)
    order = random.Random(0)
    while buffer := sorted(islice(stream, BUFFER), key=lambda one: one.longest):
        groups = _cut(buffer, tokens_per_batch)
        order.shuffle(groups)
        yield from map(collate, groups)


def _cut(families: Sequence[Family], tokens_per_batch: int) -> list[Sequence[Family]]:
    groups, start = [], 0
    while start < len(families):
        end, total = start + 1, len(families[start])
        while end < len(families) and total + len(families[end]) <= tokens_per_batch:
            total += len(families[end])
            end += 1
        groups.append(families[start:end])
        start = end
    return groups


def collate(group: Sequence[Family]) -> Batch:
    """Lay families side by side."""
    branches = _lay_out(group)
    ids, positions, targets = _nodes(group, branches)
    blocks = (*_prefix_blocks(branches), _branch_block(branches))
    places, tokens, weights = zip(*targets, strict=True)
    return Batch(
        ids=torch.tensor(ids),
        positions=torch.tensor(positions),
        blocks=blocks,
        back=_back(blocks, branches, len(ids)),
        places=torch.tensor(places),
        targets=torch.tensor(tokens),
        weights=torch.tensor(weights),
        nodes=len(ids),
        examples=sum(branch.examples for one in group for branch in one.branches),
        policies=_told(group, of_policy=True),
        texts=_told(group, of_policy=False),
    )


def _told(group: Sequence[Family], *, of_policy: bool) -> Told | None:
    """Collect the hints of one kind; None where there are none."""
    firsts = _firsts(group)
    found = [
        (first + hint.node, hint.values)
        for one, first in zip(group, firsts, strict=True)
        for hint in one.hints
        if hint.of_policy is of_policy
    ]
    if not found:
        return None
    shape = (len(found), len(KEYS) * (2 if of_policy else 1))
    values = np.full(shape, 0.0 if of_policy else np.nan, dtype=np.float32)
    for row, (_, given) in enumerate(found):
        values[row, list(given)] = list(given.values())
    return Told(places=torch.tensor([place for place, _ in found]), values=torch.from_numpy(values))


def _lay_out(group: Sequence[Family]) -> list[_Branch]:
    found, place = [], 0
    for one in group:
        first, shared = place, len(one.prefix)
        place += shared
        for trie in one.branches:
            found.append(_Branch(trie, place, first, shared))
            place += len(trie)
    return found


def _nodes(
    group: Sequence[Family], branches: Sequence[_Branch]
) -> tuple[list[int], list[int], list[tuple[int, int, float]]]:
    """Return tokens, positions and targets of all nodes."""
    size = sum(len(one) for one in group)
    ids, positions, targets = [0] * size, [0] * size, []
    for one, first in zip(group, _firsts(group), strict=True):
        shared = len(one.prefix)
        ids[first : first + shared] = one.prefix
        positions[first : first + shared] = range(shared)
        if one.lm_weight:
            targets += [(first + place, token, one.lm_weight) for place, token in enumerate(one.prefix[1:])]
    for branch in branches:
        start, trie = branch.start, branch.trie
        ids[start : start + len(trie)] = trie.tokens
        positions[start : start + len(trie)] = [branch.shared + depth for depth in trie.depths]
        targets += [(start + node, token, weight) for node, token, weight in trie.targets]
    return ids, positions, targets


def _firsts(group: Sequence[Family]) -> list[int]:
    return [sum(len(one) for one in group[:place]) for place in range(len(group))]


def _width(lengths: Iterable[int]) -> int:
    return -(-max(lengths) // _ROUND) * _ROUND


def _prefixes(branches: Sequence[_Branch]) -> list[tuple[int, int]]:
    """Return first node and length of each prefix that is not empty."""
    return list(dict.fromkeys((branch.first, branch.shared) for branch in branches if branch.shared))


def _prefix_blocks(branches: Sequence[_Branch]) -> list[Block]:
    prefixes = _prefixes(branches)
    if not prefixes:
        return []
    width = _width(shared for _, shared in prefixes)
    nodes = np.zeros((len(prefixes), width), dtype=np.int64)
    for row, (first, shared) in enumerate(prefixes):
        nodes[row, :shared] = np.arange(first, first + shared)
    mask = np.tri(width, dtype=np.bool_)[None, None].repeat(len(prefixes), 0)
    places = torch.from_numpy(nodes)
    return [Block(asking=places, seen=places, mask=torch.from_numpy(mask))]


def _branch_block(branches: Sequence[_Branch]) -> Block:
    width, ahead = _width(len(one.trie) for one in branches), _width(one.shared for one in branches)
    asking = np.zeros((len(branches), width), dtype=np.int64)
    seen = np.zeros((len(branches), ahead + width), dtype=np.int64)
    mask = np.zeros((len(branches), 1, width, ahead + width), dtype=np.bool_)
    for row, one in enumerate(branches):
        size = len(one.trie)
        asking[row, :size] = np.arange(one.start, one.start + size)
        seen[row, : one.shared] = np.arange(one.first, one.first + one.shared)
        seen[row, ahead:] = asking[row]
        mask[row, 0, :, : one.shared] = True
        mask[row, 0, :, ahead:] = one.trie.mask(width)
    return Block(asking=torch.from_numpy(asking), seen=torch.from_numpy(seen), mask=torch.from_numpy(mask))


def _back(blocks: Sequence[Block], branches: Sequence[_Branch], nodes: int) -> Tensor:
    back: NDArray[np.int64] = np.zeros(nodes, dtype=np.int64)
    base = 0
    spans = [_prefixes(branches), [(one.start, len(one.trie)) for one in branches]][-len(blocks) :]
    for block, rows in zip(blocks, spans, strict=True):
        for row, (first, size) in enumerate(rows):
            back[first : first + size] = np.arange(size) + base + row * block.asking.shape[1]
        base += block.asking.numel()
    return torch.from_numpy(back)
