"""How sure a model in training is, at the place where serving reads it: right after the verdict's opening.

After a reasoning P(unsafe) is 0 or 1 to all digits; the log odds keep the order there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from worker.judge import prompt
from worker.train.data.rows import Row
from worker.train.examples.batches import collate
from worker.train.examples.format import Formatter
from worker.train.examples.trie import Example, Family, family
from worker.train.model import network
from worker.train.policies.draw import Wording

_BATCH: Final = 16


def p_unsafe(model: Any, formatter: Formatter, prompts: Sequence[Sequence[int]]) -> list[float]:
    """Return P(unsafe) against P(safe) as the token after each prompt."""
    found: list[float] = torch.tensor(log_odds(model, formatter, prompts)).sigmoid().tolist()
    return found


def log_odds(model: Any, formatter: Formatter, prompts: Sequence[Sequence[int]]) -> list[float]:
    """Return the log odds of unsafe against safe as the token after each prompt."""
    first = [formatter.answer_ids("safe", ())[0], formatter.answer_ids("unsafe", ())[0]]
    odds = [0.0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = collate([_single(prompts[place], first[0]) for place in chosen]).to(model.device)
        with torch.inference_mode():
            logits = model.lm_head(network.states(model, batch)[batch.places]).float()[:, first]
        for place, one in zip(chosen, (logits[:, 1] - logits[:, 0]).tolist(), strict=True):
            odds[place] = one
    return odds


def _single(ids: Sequence[int], target: int) -> Family:
    return family(0, [[Example(ids=[*ids, target], weights=[0.0] * len(ids) + [1.0])]])


def reason(model: Any, formatter: Formatter, cases: Sequence[tuple[Wording, Row]]) -> list[list[int]]:
    """Let the model reason greedily; return prompt and reasoning, up to and without its close.

    A reasoning that does not end within the template's budget is cut there.
    """
    template = formatter.template
    close = formatter.ids(prompt.verdict_opening(template))[0]
    pad = formatter.ids(template.pieces(template.end))[0]  # type: ignore[arg-type]
    prompts = [formatter.prompt_ids(wording, row, reasoning=True) for wording, row in cases]
    done: list[list[int]] = [[]] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        width = max(len(prompts[place]) for place in chosen)
        ids = torch.tensor([[pad] * (width - len(prompts[place])) + prompts[place] for place in chosen])
        shown = torch.tensor([[0] * (width - len(prompts[p])) + [1] * len(prompts[p]) for p in chosen])
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=shown.to(model.device),
                max_new_tokens=template.reasoning_max_tokens,
                do_sample=False,
                eos_token_id=close,
                pad_token_id=close,
            )
        for place, row_ids in zip(chosen, out.tolist(), strict=True):
            written = row_ids[width:]
            cut = written.index(close) if close in written else len(written)
            done[place] = prompts[place] + written[:cut]
    return done


def after_reasoning(model: Any, formatter: Formatter, reasoned: Sequence[Sequence[int]]) -> list[float]:
    """Return P(unsafe) after each reasoning."""
    return p_unsafe(model, formatter, opened(formatter, reasoned))


def opened(formatter: Formatter, reasoned: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return each prompt and reasoning with the verdict's opening, where scores are read."""
    opening = formatter.ids(prompt.verdict_opening(formatter.template))
    return [[*ids, *opening] for ids in reasoned]
