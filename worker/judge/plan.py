"""What is known of a call before its message: the prompt's beginning and the grammar of its answer."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from worker.errors import PromptTooLong
from worker.judge import prompt
from worker.judge.grammar import answer_grammar, ids_grammar, ids_text, longest_answer_bytes
from worker.judge.parse import panel_ids
from worker.judge.prompt import Text
from worker.judge.template import Template
from worker.judge.tokens import Tokens
from worker.policy.model import DEFAULT_THRESHOLD, Panel
from worker.records import Role

#: Plans are kept up to so many tokens together; the least used goes first. By tokens and not by number: a model that
#: is asked for each category apart has many small ones.
KEPT_TOKENS: Final = 1_000_000
#: What a plan takes beside its tokens, in tokens: panel, grammars.
PLAN_TOKENS: Final = 250
#: From here on a text is tokenised in another thread, so that the loop goes on.
LONG_CHARS: Final = 16_384


class Plan(Struct, frozen=True, kw_only=True):
    """One panel in one role.

    Attributes:
        panel: the categories and prose.
        ids: its category ids, distinct.
        prefix_ids: the prompt up to the conversation.
        grammar: EBNF of label and ids.
        ids_grammar: EBNF of the ids alone; None where there are none.
        answer_tokens: no answer is longer, its end included.
        whole_answers: the answers that one token decides, by that token: ``safe``, and ``unsafe`` of at most one id.
        threshold: the score from which on the panel counts as unsafe.

    """

    panel: Panel
    ids: tuple[str, ...]
    prefix_ids: tuple[int, ...]
    grammar: str
    ids_grammar: str | None
    answer_tokens: int
    whole_answers: Mapping[int, str]
    threshold: float


class Plans:
    """Makes plans and keeps them."""

    def __init__(self, template: Template, tokens: Tokens, window_tokens: int) -> None:
        """Keep nothing yet."""
        self._template = template
        self._tokens = tokens
        self._max_bytes = window_tokens * tokens.bytes_per_token
        self._kept: OrderedDict[tuple[Panel, Role], Plan] = OrderedDict()
        self._kept_tokens = 0

    def __len__(self) -> int:
        """Count the plans that are kept."""
        return len(self._kept)

    async def get(self, panel: Panel, role: Role) -> Plan:
        """Return the plan for a panel, made now if need be.

        Raises:
            PromptTooLong: the panel's text alone cannot fit the model's window.

        """
        key = (panel, role)
        plan = self._kept.get(key)
        if plan is None:
            plan = await self._make(panel, role)
            self._keep(key, plan)
        self._kept.move_to_end(key)
        return plan

    def _keep(self, key: tuple[Panel, Role], plan: Plan) -> None:
        # Two messages may have made the same one at the same time.
        if key not in self._kept:
            self._kept_tokens += _size_tokens(plan)
        self._kept[key] = plan
        while self._kept_tokens > KEPT_TOKENS and len(self._kept) > 1:
            self._kept_tokens -= _size_tokens(self._kept.popitem(last=False)[1])

    async def _make(self, panel: Panel, role: Role) -> Plan:
        segments = prompt.prefix(self._template, panel, role)
        texts = [segment.text for segment in segments if isinstance(segment, Text)]
        if sum(len(text.encode()) for text in texts) > self._max_bytes:
            text = "the policy alone does not fit the model's window; shorten it or raise max_model_len"
            raise PromptTooLong(text)
        if sum(map(len, texts)) > LONG_CHARS:
            encoded = await asyncio.to_thread(self._tokens.encode, segments)
        else:
            encoded = self._tokens.encode(segments)
        ids, close = panel_ids(panel), self._template.verdict_close
        return Plan(
            panel=panel,
            ids=ids,
            prefix_ids=tuple(encoded),
            grammar=answer_grammar(ids, close),
            ids_grammar=ids_grammar(ids) if ids else None,
            answer_tokens=longest_answer_bytes(ids, close) + 1,
            whole_answers=self._whole_answers(ids),
            threshold=min((category.threshold for category in panel.categories), default=DEFAULT_THRESHOLD),
        )

    def _whole_answers(self, ids: Sequence[str]) -> dict[int, str]:
        if any("safe" in name for name in ids):
            return {}
        close = self._template.verdict_close
        texts = {"safe": f"safe{close}"}
        if len(ids) <= 1:
            texts["unsafe"] = f"unsafe{close}{ids_text(ids)}"
        tokens = {label: self._tokens.text_ids(label) for label in texts}
        return {tokens[label][0]: text for label, text in texts.items() if len(tokens[label]) == 1}


def _size_tokens(plan: Plan) -> int:
    return len(plan.prefix_ids) + PLAN_TOKENS
