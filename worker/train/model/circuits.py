"""Where attention starts: heads that look at the token before, at the same token, and at what followed it.

Copying an id and finding a policy's word in a text need heads that match tokens. From a random start
these form late and all at once (Olsson et al. 2022, "In-context Learning and Induction Heads"); a start that
resembles what training ends with shortens the way (Trockman and Kolter 2023, "Mimetic Initialization").
Nothing is fixed: all weights are trained on.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor

#: A frequency below this (radians a token) hardly turns within a prompt, so that its part of a head tells tokens apart
#: wherever they stand; those above tell places apart.
_SLOW: Final = 0.0035
#: So strongly the first head looks one token back.
_BACK: Final = 5.5
#: How much of what it saw it adds, beside embeddings of a standard deviation of 0.1.
_ADDED: Final = 0.2
_COPIED: Final = 0.3


def start(model: Any, *, match: float, seed: int) -> None:
    """Start some heads of a network (``network.build``) in these shapes; a network of one head a layer is left alone.

    Args:
        model: the network.
        match: how sharply a token looks for the same one; the score of a match grows with its square.
        seed: of the random directions.

    """
    config = model.config
    if config.num_key_value_heads < 2 or config.num_hidden_layers < 2:  # noqa: PLR2004 - one head of each shape
        return
    maker = torch.Generator().manual_seed(seed)
    speeds = model.model.rotary_emb.inv_freq
    size, half = model.model.layers[0].self_attn.head_dim, len(speeds)
    slow = [place for place in range(half) if speeds[place] < _SLOW]
    slow += [place + half for place in slow]
    with torch.no_grad():
        seen, shown = _back(model.model.layers[0].self_attn, speeds, maker)
        _induction(model.model.layers[1].self_attn, slow, match, seen, shown, maker)
        for layer in model.model.layers[1:]:
            _same(layer.self_attn, [size + place for place in slow], match, maker)


def _directions(rows: int, columns: int, maker: torch.Generator) -> Tensor:
    """Return random orthonormal rows."""
    found: Tensor = torch.linalg.qr(torch.randn(columns, rows, generator=maker))[0].T
    return found


def _back(attention: Any, speeds: Tensor, maker: torch.Generator) -> tuple[Tensor, Tensor]:
    """Let the first head look one token back; return what it reads of a token, and where it writes that."""
    size, hidden = attention.head_dim, attention.q_proj.in_features
    half = len(speeds)
    for place in range(half):
        if speeds[place] >= _SLOW:
            angle = float(speeds[place])
            attention.k_proj.bias[place] = _BACK
            attention.q_proj.bias[place] = _BACK * math.cos(angle)
            attention.q_proj.bias[place + half] = -_BACK * math.sin(angle)
    seen, shown = _directions(size, hidden, maker), _directions(size, hidden, maker)
    attention.v_proj.weight[:size] = seen
    attention.o_proj.weight[:, :size] = _ADDED * shown.T
    return seen, shown


def _induction(
    attention: Any, slow: list[int], match: float, seen: Tensor, shown: Tensor, maker: torch.Generator
) -> None:
    """Let the first head look at what followed the same token, and write it as what comes next."""
    size, hidden = attention.head_dim, attention.q_proj.in_features
    attention.q_proj.weight[slow] = match * seen[: len(slow)]
    attention.k_proj.weight[slow] = match * shown[: len(slow)]
    copied = _directions(size, hidden, maker)
    attention.v_proj.weight[:size] = copied
    attention.o_proj.weight[:, :size] = _COPIED * copied.T


def _same(attention: Any, keys: list[int], match: float, maker: torch.Generator) -> None:
    """Let the second key head, and all queries that share it, look at the same token."""
    size, hidden = attention.head_dim, attention.q_proj.in_features
    shared = attention.q_proj.out_features // attention.k_proj.out_features
    read = match * _directions(len(keys), hidden, maker)
    attention.k_proj.weight[keys] = read
    for head in range(shared, 2 * shared):
        attention.q_proj.weight[[place + (head - 1) * size for place in keys]] = read
