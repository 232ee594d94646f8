"""Heads that are trained beside the network and never exported: they read what ``hints`` tells off inner layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from worker.train.examples.batches import Batch, Told
from worker.train.examples.hints import KEYS
from worker.train.model import network


class Heads(nn.Module):
    """A linear reading of what a category asks, and one of what a text is."""

    def __init__(self, layers: int, hidden: int) -> None:
        """Start from nothing; half of the layers read, the others compare."""
        super().__init__()
        self.after = max(1, layers // 2)
        self.policy = _head(hidden, 2 * len(KEYS))
        self.text = _head(hidden, len(KEYS))

    def loss(self, batch: Batch, layers: list[Tensor]) -> Tensor:
        """Return the sum of both readings' cross-entropies, each a mean over what it was told of."""
        stream = layers[self.after - 1]
        return _entropy(self.policy, stream, batch.policies) + _entropy(self.text, stream, batch.texts)


def _head(hidden: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.RMSNorm(hidden), nn.Linear(hidden, outputs))


def _entropy(head: nn.Module, stream: Tensor, told: Told | None) -> Tensor:
    if told is None:
        return stream.new_zeros(())
    known = ~told.values.isnan()
    logits = head(stream.index_select(0, told.places)).float()
    each = functional.binary_cross_entropy_with_logits(logits, told.values.nan_to_num(), reduction="none")
    return (each * known).sum() / len(told.places)


def told_loss(model: Any, heads: Heads, batch: Batch, dropout: float, weight: float) -> Tensor:
    """Return the network's loss and ``weight`` parts of the heads'."""
    layers: list[Tensor] = []
    stream = network.states(model, batch, dropout, layers)
    return network.verdict_loss(model, batch, stream) + weight * heads.loss(batch, layers)
