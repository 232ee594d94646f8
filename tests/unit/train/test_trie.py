"""Many examples side by side cost less and teach the same."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from worker.train.examples.batches import batches, collate
from worker.train.examples.trie import Example, Family, Trie, family
from worker.train.model import network

_SHARED = 12


def _groups(seed: int) -> list[list[Example]]:
    """Return five messages under one policy, each with two answers and a soft label."""
    rng = random.Random(seed)
    shared = [rng.randrange(9, 300) for _ in range(_SHARED)]
    found = []
    for _ in range(5):
        message = shared + [rng.randrange(9, 300) for _ in range(rng.randint(3, 15))]
        found.append([_example(message, tail) for tail in ([3, 5, 8], [7, 9, 9, 3, 6, 8])])
    return found


def _example(message: list[int], tail: list[int]) -> Example:
    weights = [0.0] * len(message) + [1.0 + place for place in range(len(tail))]
    return Example(ids=message + tail, weights=weights, soft=[(len(message), 77, 0.5)], asked=len(message))


def _plain_loss(model: Any, examples: list[Example]) -> torch.Tensor:
    """Return the loss by the library's own forward pass, one example at a time."""
    total, weight = torch.zeros(()), 0.0
    for one in examples:
        scores = model(torch.tensor([one.ids])).logits[0].float().log_softmax(-1)
        targets = [*((place, token, one.weights[place]) for place, token in enumerate(one.ids)), *one.soft]
        for place, token, each in targets[1:]:
            total = total - scores[place - 1, token] * each
            weight += each
    return total / weight


@pytest.mark.parametrize("shared", [_SHARED, 0])
@pytest.mark.parametrize("seed", [1, 2])
def test_loss_and_gradients_are_those_of_the_examples_alone(seed: int, shared: int) -> None:
    """Packed nodes through our forward pass equal each example alone through the library's."""
    model, groups = network.build(300, 8, 0, seed, layers=2, hidden=128).eval(), _groups(seed)
    alone = _plain_loss(model, [one for group in groups for one in group])
    alone.backward()  # type: ignore[no-untyped-call]
    wanted = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    packed = network.loss(model, collate([family(shared, groups)]))
    packed.backward()  # type: ignore[no-untyped-call]
    assert packed.item() == pytest.approx(alone.item(), abs=1e-4)
    for name, weight in model.named_parameters():
        assert torch.allclose(weight.grad, wanted[name], atol=1e-5), name


def test_families_do_not_see_each_other() -> None:
    """A batch of two families has the states that each has by itself."""
    model = network.build(300, 8, 0, 1, layers=2, hidden=128).eval()
    one, other = family(_SHARED, _groups(1)), family(_SHARED, _groups(2))
    apart = torch.cat([network.states(model, collate([each])) for each in (one, other)])
    assert torch.allclose(apart, network.states(model, collate([one, other])), atol=1e-5)


def test_dropout_is_for_training_only() -> None:
    """States are the same each time unless dropout is asked for."""
    model, batch = network.build(300, 8, 0, 1, layers=1, hidden=64), collate([family(_SHARED, _groups(1))])
    assert torch.equal(network.states(model, batch), network.states(model, batch))
    assert not torch.equal(network.states(model, batch, 0.5), network.states(model, batch, 0.5))


def test_shared_tokens_are_kept_once() -> None:
    """What examples share at their start is one path, and a prompt's target there counts once."""
    trie = Trie()
    trie.add(Example(ids=[1, 2, 3], weights=[0.5, 0.5, 2.0], asked=2))
    trie.add(Example(ids=[1, 2, 4], weights=[0.5, 0.5, 2.0], asked=2))
    assert 4 == len(trie)
    assert [(0, 2, 0.5), (1, 3, 2.0), (1, 4, 2.0)] == trie.targets


def test_soft_labels_stand_beside_the_hard_one() -> None:
    """What else might stand at a place is a target of the same node."""
    trie = Trie()
    trie.add(Example(ids=[1, 2, 3], weights=[0.0, 0.0, 1.5], soft=[(2, 9, 0.5)], asked=2))
    assert [(1, 3, 1.5), (1, 9, 0.5)] == trie.targets


def test_a_policy_is_learnt_once_per_family() -> None:
    """With a language-model weight, the shared tokens are targets once, however many messages follow."""
    batch = collate([family(_SHARED, _groups(1), 0.25)])
    assert _SHARED - 1 == int((batch.weights == 0.25).sum())


def test_batches_keep_to_their_size() -> None:
    """Every family comes once, none above the longest length, and no batch is above its tokens."""
    made = list(batches([_alone(size) for size in range(2, 60)], tokens_per_batch=128, max_length=50))
    assert 49 == sum(batch.examples for batch in made)
    assert all(batch.nodes <= 128 for batch in made)


def _alone(size: int) -> Family:
    return family(0, [[Example(ids=list(range(9, 9 + size)), weights=[1.0] * size)]])
