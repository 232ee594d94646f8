"""From tries to tensors: sequences of like length together, since padding is waste on a CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

from worker.train.examples.trie import Trie

BUFFER: Final = 160
#: Few shapes: the CPU's kernels are made anew for each one.
_ROUND: Final = 32
_ROUND_TARGETS: Final = 512


class Batch(Struct, frozen=True, kw_only=True):
    """One step's input.

    Attributes:
        ids, positions: (sequences, length) integers.
        mask: (sequences, 1, length, length) booleans, true where a node attends.
        places: (targets,) index into the flattened (sequences x length) nodes.
        targets, weights: (targets,) next tokens and what they count for.
        nodes, examples: how much is in it, padding left out.

    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    nodes: int
    examples: int


def batches(source: Iterable[Trie], tokens_per_batch: int, max_length: int) -> Iterator[Batch]:
    """Sort tries by length within a buffer and yield batches; longer than ``max_length`` is left out."""
    stream = (trie for trie in source if len(trie) <= max_length)
    while buffer := sorted(islice(stream, BUFFER), key=len):
        start = 0
        while start < len(buffer):
            end = start + 1
            while end < len(buffer) and (end - start + 1) * len(buffer[end]) <= tokens_per_batch:
                end += 1
            yield collate(buffer[start:end], pad_targets=True)
            start = end


def collate(group: Sequence[Trie], *, pad_targets: bool = False) -> Batch:
    """Put tries side by side; padding targets weigh nothing."""
    length = -(-max(len(trie) for trie in group) // _ROUND) * _ROUND
    ids = np.zeros((len(group), length), dtype=np.int64)
    positions = np.zeros_like(ids)
    for row, trie in enumerate(group):
        ids[row, : len(trie)] = trie.tokens
        positions[row, : len(trie)] = trie.depths
    targets = [
        (row * length + node, token, weight) for row, trie in enumerate(group) for node, token, weight in trie.targets
    ]
    targets += [(0, 0, 0.0)] * (-len(targets) % _ROUND_TARGETS) if pad_targets else []
    places, tokens, weights = zip(*targets, strict=True)
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(np.stack([trie.mask(length) for trie in group])[:, None]),
        places=torch.tensor(places),
        targets=torch.tensor(tokens),
        weights=torch.tensor(weights),
        nodes=sum(len(trie) for trie in group),
        examples=sum(trie.examples for trie in group),
    )
