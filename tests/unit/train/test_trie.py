"""Many examples in one sequence cost less and teach the same."""

from __future__ import annotations

import random

import pytest

from worker.train.examples.batches import batches, collate
from worker.train.examples.trie import Example, Trie
from worker.train.model import network


def _examples(seed: int) -> list[Example]:
    rng = random.Random(seed)
    shared = [rng.randrange(9, 300) for _ in range(12)]
    found = []
    for _ in range(5):
        message = shared + [rng.randrange(9, 300) for _ in range(rng.randint(3, 15))]
        for tail in ([3, 5, 8], [7, 9, 9, 3, 6, 8]):
            weights = [0.0] * len(message) + [1.0 + place for place in range(len(tail))]
            found.append(Example(ids=message + tail, weights=weights))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_loss_is_that_of_the_examples_alone(seed: int) -> None:
    """The loss over a trie equals the loss of a plain forward pass over each example by itself."""
    model = network.build(300, 8, 0, seed, layers=2, hidden=128).eval()
    examples, together = _examples(seed), Trie()
    together.add_all(examples)
    total = weight = 0.0
    for example in examples:
        ids = collate([_alone(example)]).ids[:, : len(example.ids)]
        scores = model(ids).logits[0].detach().float().log_softmax(-1)
        for place in range(1, len(example.ids)):
            total -= float(scores[place - 1, example.ids[place]]) * example.weights[place]
            weight += example.weights[place]
    assert pytest.approx(total / weight, abs=1e-4) == network.loss(model, collate([together], pad_targets=True)).item()


def _alone(example: Example) -> Trie:
    trie = Trie()
    trie.add(example)
    return trie


def test_shared_tokens_are_kept_once() -> None:
    """What examples share at their start is one path, and a prompt's target there counts once."""
    trie = Trie()
    trie.add(Example(ids=[1, 2, 3], weights=[0.5, 0.5, 2.0]))
    trie.add(Example(ids=[1, 2, 4], weights=[0.5, 0.5, 2.0]))
    assert 4 == len(trie)
    assert [(0, 2, 0.5), (1, 3, 2.0), (1, 4, 2.0)] == trie.targets


def test_batches_keep_to_their_size() -> None:
    """Every trie comes once, none above the longest length, and no batch is above its tokens."""
    tries = [_alone(Example(ids=list(range(9, 9 + size)), weights=[1.0] * size)) for size in range(2, 60)]
    made = list(batches(tries, tokens_per_batch=128, max_length=50))
    assert 49 == sum(batch.examples for batch in made)
    assert all(batch.nodes <= 128 for batch in made)
