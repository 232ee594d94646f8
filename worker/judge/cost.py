"""What a policy costs: the tokens before each message, counted as the engine is asked. Pure, given a tokenizer."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from worker.judge import asking, prompt
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.policy.lint_cost import Cost
from worker.policy.model import EffectivePolicy, Panel
from worker.records import Role


class Weight(Struct, frozen=True, kw_only=True):
    """Tokens of one category, or of one part's prose (``id`` is null)."""

    scope: str
    id: str | None
    tokens: int


class Counter:
    """Counts with one model's tokenizer and template."""

    def __init__(self, folder: Path) -> None:
        """Read tokenizer and template of a model folder.

        Raises:
            ModelError: they cannot be read, or do not fit each other.

        """
        self._template: Template = load_template(folder)
        self._tokens = Tokens(folder, self._template)

    def cost(self, policy: EffectivePolicy, role: Role = "user") -> Cost:
        """Return what stands before each message under an effective policy, all its calls together."""
        panels = asking.panels(self._template, policy)
        counts = [len(self._tokens.encode(prompt.prefix(self._template, panel, role))) for panel in panels]
        return Cost(tokens=sum(counts), calls=len(counts), exact=True)

    def weights(self, policy: EffectivePolicy) -> tuple[Weight, ...]:
        """Return the tokens of each category and each part's prose, in the order of the policy."""
        return (
            *(self._weight(item.scope, item.id, Panel(categories=(item,))) for item in policy.judging.categories),
            *(self._weight(item.scope, None, Panel(categories=(), prose=(item,))) for item in policy.judging.prose),
        )

    def _weight(self, scope: str, category_id: str | None, panel: Panel) -> Weight:
        return Weight(scope=scope, id=category_id, tokens=len(self._tokens.text_ids(prompt.policy_text(panel))))
