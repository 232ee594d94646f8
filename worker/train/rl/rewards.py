r"""What a completion is worth, read by the parser that serves. Pure.

    reward = format x (0.9 x accuracy + 0.1)

as the authors' code has it (github.com/SophieZheng998/RSafe, ``verl/utils/reward_score/safety.py``). The
format holds where serving, with its grammar off, would read a verdict of exactly the template's shape:

1. the model ended by itself, with the template's end;
2. it reasoned: something stands before ``think_close`` (not asked for without reasoning, where the
   prompt itself closes the empty reasoning and opens the verdict);
3. ``verdict_open`` follows, white space apart, and then ``safe`` or ``unsafe`` and ``verdict_close``.
   P(unsafe) is read at that very token, so ``\boxed{\text{safe}}`` or ``\boxed{Unsafe (U1)}``, which the
   parser forgives, do not hold;
4. after ``unsafe`` stand ids of the policy's categories and nothing else, at least one where there are
   categories; after ``safe`` stands nothing.

A verdict that contradicts its own reasoning has the format and no accuracy: serving would not judge by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from worker.judge.parse import panel_ids, parse_free
from worker.judge.template import Template
from worker.policy.model import Panel
from worker.records import Label, Status

ACCURACY_WEIGHT: Final = 0.9
FORMAT_WEIGHT: Final = 0.1
_BETWEEN_IDS: Final = re.compile(r"[,\s]+")


class Score(Struct, frozen=True, kw_only=True):
    """What one completion earned.

    Attributes:
        reward: 0 to 1.
        format, accuracy: 0 or 1; accuracy is 0 where the format does not hold.
        status: what serving would have made of it.
        label: the model's word, None where it cannot be read.
        cited: the ids it names, in the policy's order.

    """

    reward: float
    format: float
    accuracy: float
    status: Status
    label: Label | None
    cited: tuple[str, ...]


def score(text: str, expected: Label, panel: Panel, template: Template, *, reasoning: bool, ended: bool) -> Score:
    """Score one completion.

    Args:
        text: what the model wrote after its prompt, control tokens by their names, without the end.
        expected: the row's label under the policy.
        panel: the policy in the prompt.
        template: the prompt's template.
        reasoning: whether the prompt asked for reasoning.
        ended: whether the model ended by itself.

    """
    whole = text if reasoning else template.think_close + template.verdict_open + text
    reading = parse_free(whole, panel, template, truncated=not ended)
    holds = ended and reading.model_label is not None and _well_formed(whole, panel, template, reasoning=reasoning)
    right = holds and reading.status == "judged" and reading.model_label == expected
    return Score(
        reward=holds * (ACCURACY_WEIGHT * right + FORMAT_WEIGHT),
        format=float(holds),
        accuracy=float(right),
        status=reading.status,
        label=reading.model_label,
        cited=tuple(name for _, name in reading.cited),
    )


def _well_formed(whole: str, panel: Panel, template: Template, *, reasoning: bool) -> bool:
    thought, closed, tail = whole.partition(template.think_close)
    if not closed or (reasoning and not thought.strip()):
        return False
    between, opened, answer = tail.partition(template.verdict_open.strip())
    return bool(opened) and not between.strip() and _exact(answer, panel_ids(panel), template.verdict_close)


def _exact(answer: str, ids: Sequence[str], close: str) -> bool:
    label, closed, rest = answer.partition(close)
    named = [word for word in _BETWEEN_IDS.split(rest.strip()) if word]
    if not closed or label not in {"safe", "unsafe"}:
        return False
    if label == "safe" or not ids:
        return not named
    return bool(named) and set(named) <= set(ids)
