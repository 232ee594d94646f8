"""Completions for prompts of token ids. A group shares its prompt, which is read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from transformers import DynamicCache

from worker.judge.template import Template
from worker.judge.tokens import Tokens

#: Prompts that are read at once: like lengths together, since padding is waste on a CPU.
_PROMPTS: Final = 8


def read_completion(tokens: Tokens, template: Template, ids: Sequence[int], *, served: bool) -> tuple[str, bool]:
    """Return a completion's text without its end, and whether it ended by itself.

    Control tokens stand by their names. A text that spells such a name counts as nothing: serving knows
    the token from its spelling, so a reward that mixed them up would teach the spelling.

    Args:
        tokens: the model's tokenizer.
        template: its template.
        ids: the completion.
        served: a reasoning that serving would cut at the template's budget did not end by itself.

    """
    written = list(ids)
    end = tokens.control_ids[template.end]
    ended = end in written
    if ended:
        written = written[: written.index(end)]
    text = tokens.decode(written)
    if served and template.think_close in text:
        ended = ended and template.think_close in tokens.decode(written[: template.reasoning_max_tokens])
    honest = all(text.count(name) == written.count(number) for name, number in tokens.control_ids.items())
    return (text, ended) if honest else ("", False)


class Sampler:
    """Samples groups of completions from a causal model, each group's prompt read once."""

    def __init__(self, end_ids: Sequence[int], pad_id: int, max_tokens: int) -> None:
        """Keep what ends a completion and how long it may be."""
        self._ends = torch.tensor(sorted(end_ids))
        self._pad = pad_id
        self._max = max_tokens

    @torch.no_grad()
    def sample(
        self, model: Any, prompts: Sequence[Sequence[int]], group: int, *, temperature: float
    ) -> list[list[int]]:
        """Return ``group`` completions for each prompt, one after the other, their end included.

        Args:
            model: a causal language model, in evaluation mode.
            prompts: token ids.
            group: completions for each prompt.
            temperature: 0 takes the likeliest token.

        """
        done: list[list[int]] = [[] for _ in range(len(prompts) * group)]
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        for start in range(0, len(order), _PROMPTS):
            chosen = order[start : start + _PROMPTS]
            written = self._batch(model, [prompts[place] for place in chosen], group, temperature)
            for number, ids in enumerate(written):
                done[chosen[number // group] * group + number % group] = ids
        return done

    def _batch(self, model: Any, prompts: Sequence[Sequence[int]], group: int, temperature: float) -> list[list[int]]:
        width = max(map(len, prompts))
        ids = torch.tensor([[self._pad] * (width - len(one)) + list(one) for one in prompts], device=model.device)
        shown = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts], device=model.device)
        cache = DynamicCache(config=model.config)
        logits = _forward(model, cache, ids, shown)
        cache.batch_repeat_interleave(group)
        shown, logits = shown.repeat_interleave(group, 0), logits.repeat_interleave(group, 0)
        return self._decode(model, cache, shown, logits, temperature)

    def _decode(self, model: Any, cache: Any, shown: Tensor, logits: Tensor, temperature: float) -> list[list[int]]:
        """Write on until every row has ended; rows that have are taken out of the batch."""
        written: list[list[int]] = [[] for _ in range(len(shown))]
        places = list(range(len(shown)))
        for length in range(1, self._max + 1):
            token = _draw(logits.float(), temperature)
            for place, number in zip(places, token.tolist(), strict=True):
                written[place].append(number)
            going = (~torch.isin(token, self._ends.to(token.device))).nonzero()[:, 0]
            if not len(going) or length == self._max:
                break
            if len(going) < len(places):
                places = [places[row] for row in going.tolist()]
                cache.batch_select_indices(going)
                shown, token = shown[going], token[going]
            shown = torch.cat([shown, shown.new_ones(len(shown), 1)], -1)
            logits = _forward(model, cache, token[:, None], shown)
        return written


def _forward(model: Any, cache: Any, ids: Tensor, shown: Tensor) -> Tensor:
    """Return the logits after the last of ``ids``; ``shown`` covers all that the cache and they hold."""
    positions = (shown.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    out = model(input_ids=ids, attention_mask=shown, position_ids=positions, past_key_values=cache, logits_to_keep=1)
    return out.logits[:, -1]  # type: ignore[no-any-return]


def _draw(logits: Tensor, temperature: float) -> Tensor:
    """Draw one token for each row of (rows, vocabulary)."""
    if not temperature:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1)[:, 0]
