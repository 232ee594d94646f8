"""Where attention starts: one token back, at the same token, and at what followed it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from worker.train.model import circuits, network

IDS = [5, 6, 7, 8, 9, 10, 11, 12, 6, 13]


@pytest.fixture
def model() -> Any:
    """Return a network with embeddings of a run's scale."""
    made = network.build(40, 1, 2, 1, layers=3, hidden=256, rope_theta=1e6)
    with torch.no_grad():
        made.model.embed_tokens.weight.normal_(0.0, 0.1, generator=torch.Generator().manual_seed(3))
    return made


def _looks(model: Any, layer: int, head: int) -> Tensor:
    """Return how much each token looks at each, (tokens, tokens)."""
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        found = model(torch.tensor([IDS]), output_attentions=True).attentions[layer]
    looks: Tensor = found[0, head]
    return looks


def test_the_first_head_looks_one_token_back(model: Any) -> None:
    """Most of what it sees is the token before."""
    circuits.start(model, match=1.0, seed=1)
    looks = _looks(model, 0, 0)
    assert sum(looks[place, place - 1] for place in range(2, len(IDS))) > 0.6 * (len(IDS) - 2)


def test_a_head_looks_at_what_followed_the_same_token(model: Any) -> None:
    """The second 6 sees the 7 that came after the first one."""
    circuits.start(model, match=1.2, seed=1)
    looks = _looks(model, 1, 0)[8]
    assert looks.argmax() == 2


def test_heads_look_at_the_same_token(model: Any) -> None:
    """Each sees itself most, and the second 6 sees the first one more than the other tokens on average."""
    circuits.start(model, match=1.2, seed=1)
    looks = torch.stack([_looks(model, layer, head) for layer in (1, 2) for head in (2, 3)]).mean(0)
    assert looks.diagonal().mean() > 0.6
    others = [looks[8, place] for place in (0, 2, 3, 4, 5, 6, 7)]
    assert looks[8, 1] > 1.2 * sum(others) / len(others)


def test_the_start_follows_from_the_seed(model: Any) -> None:
    """The same seed gives the same start, and what is not a head's is left alone."""
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    circuits.start(model, match=1.0, seed=1)
    first = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    model.load_state_dict(before, strict=False)
    circuits.start(model, match=1.0, seed=1)
    assert all(torch.equal(first[name], weight) for name, weight in model.named_parameters())
    assert {"self_attn"} == {name.split(".")[3] for name in first if not torch.equal(first[name], before[name])}


def test_a_network_of_one_key_head_is_left_alone() -> None:
    """There is no head to spare in it."""
    made = network.build(40, 1, 2, 1, layers=2, hidden=64)
    before = [weight.detach().clone() for weight in made.parameters()]
    circuits.start(made, match=1.0, seed=1)
    assert all(torch.equal(one, other) for one, other in zip(before, made.parameters(), strict=True))
