"""Log-probabilities of completions with each group's prompt computed once, for models of a few million parameters.

TRL computes the prompt anew for each completion of a group. Here a group is one sequence: its prompt, then its
completions side by side, each of which sees the prompt and itself and stands at the positions that follow the
prompt. The numbers are the same, for a fraction of the tokens: prompts are several times longer than answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

#: Groups that are computed at once: like lengths together.
_GROUPS: Final = 4


class Group(Struct, kw_only=True):
    """Completions of one prompt; ``rows`` are their places in the batch."""

    prompt: Sequence[int]
    rows: list[int]
    completions: list[Sequence[int]]

    @property
    def nodes(self) -> int:
        """Count the tokens of the group's one sequence."""
        return len(self.prompt) + sum(map(len, self.completions))


class Packed(Struct, frozen=True, kw_only=True):
    """Groups side by side, one sequence each.

    Attributes:
        ids, positions: (groups, length) integers.
        mask: (groups, 1, length, length) booleans, true where a token attends.
        places: (targets,) index into the flattened (groups x length) tokens.
        targets: (targets,) the completions' tokens, in their order.

    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    places: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> Packed:
        """Return it on a device."""
        return Packed(**{name: getattr(self, name).to(device) for name in self.__struct_fields__})


def log_probabilities(
    model: Any, ids: Tensor, shown: Tensor, keep: int, temperature: float, *, differentiable_entropy: bool = False
) -> tuple[Tensor, Tensor]:
    """Return each completion token's log-probability and the entropy at its place.

    Args:
        model: a decoder of Qwen2's shape.
        ids: (completions, length), prompts padded on the left and completions on the right.
        shown: (completions, length), 0 at padding.
        keep: the last so many columns are the completions.
        temperature: what the logits are divided by.
        differentiable_entropy: whether gradients flow through the entropy.

    Returns:
        Two tensors of (completions, keep); 0 at padding.

    """
    places, values, entropies = [], [], []
    groups = sorted(find_groups(ids, shown, keep), key=lambda group: group.nodes)
    for start in range(0, len(groups), _GROUPS):
        chosen = groups[start : start + _GROUPS]
        batch = pack(chosen).to(ids.device)
        logits = model.lm_head(_states(model, batch)[batch.places]).float() / temperature
        chances = logits.log_softmax(-1)
        values.append(chances.gather(-1, batch.targets[:, None])[:, 0])
        with torch.set_grad_enabled(differentiable_entropy and torch.is_grad_enabled()):
            entropies.append(-(chances.exp() * chances).sum(-1))
        places += [
            row * keep + place
            for group in chosen
            for row, completion in zip(group.rows, group.completions, strict=True)
            for place in range(len(completion))
        ]
    where = torch.tensor(places, device=ids.device)
    empty = torch.zeros(len(ids) * keep, device=ids.device)
    return tuple(  # type: ignore[return-value]
        empty.index_put((where,), torch.cat(parts)).view(len(ids), keep) for parts in (values, entropies)
    )


def find_groups(ids: Tensor, shown: Tensor, keep: int) -> list[Group]:
    """Return the batch's completions by their prompts; empty completions are left out."""
    found: dict[tuple[int, ...], Group] = {}
    width = ids.shape[1] - keep
    for row, (tokens, mask) in enumerate(zip(ids.tolist(), shown.tolist(), strict=True)):
        prompt = tuple(tokens[width - sum(mask[:width]) : width])
        group = found.setdefault(prompt, Group(prompt=prompt, rows=[], completions=[]))
        if length := sum(mask[width:]):
            group.rows.append(row)
            group.completions.append(tokens[width : width + length])
    return [group for group in found.values() if group.rows]


def _states(model: Any, batch: Packed) -> Tensor:
    """Return the hidden state of every token, flattened to (groups x length, hidden)."""
    out = model.model(
        input_ids=batch.ids,
        position_ids=batch.positions,
        attention_mask={"full_attention": batch.mask},
        use_cache=False,
    )
    return out.last_hidden_state.flatten(0, 1)  # type: ignore[no-any-return]


def pack(groups: Sequence[Group]) -> Packed:
    """Put groups side by side, one sequence each; targets are the completions' tokens in their order."""
    length = max(group.nodes for group in groups)
    ids = np.zeros((len(groups), length), dtype=np.int64)
    positions = np.zeros_like(ids)
    mask = np.broadcast_to(np.eye(length, dtype=np.bool_), (len(groups), length, length)).copy()
    places: list[int] = []
    for row, group in enumerate(groups):
        start = len(group.prompt)
        ids[row, :start] = group.prompt
        positions[row, :start] = np.arange(start)
        mask[row, :start, :start] = np.tri(start, dtype=np.bool_)
        cursor = start
        for completion in group.completions:
            end = cursor + len(completion)
            ids[row, cursor:end] = completion
            positions[row, cursor:end] = start + np.arange(len(completion))
            mask[row, cursor:end, :start] = True
            mask[row, cursor:end, cursor:end] = np.tri(len(completion), dtype=np.bool_)
            # The first token follows the prompt, each other one its own predecessor.
            places += [row * length + node for node in (start - 1, *range(cursor, end - 1))]
            cursor = end
    targets = [token for group in groups for completion in group.completions for token in completion]
    return Packed(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(mask[:, None]),
        places=torch.tensor(places),
        targets=torch.tensor(targets),
    )
