"""Golden cases: texts whose verdict a policy's author vouches for.

They are judged on demand (``rsafe policy test``), and before a published policy takes force
(``worker/policy/trials.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from msgspec import UNSET, Struct

from worker.policy.model import EffectivePolicy
from worker.records import GoldenCase, Label, Message, Policy, Status

#: A policy that says nothing wants all of its cases to pass.
DEFAULT_MIN_PASS: Final = 1.0
_TENANT: Final = "golden"


class Answer(Struct, frozen=True, kw_only=True):
    """What a judge made of one case, thresholds applied: ``hits`` are ids of categories."""

    status: Status
    label: Label | None
    hits: tuple[str, ...]


class CaseResult(Struct, frozen=True, kw_only=True):
    """One case and what became of it; ``index`` is its place in the policy, from 0."""

    index: int
    passed: bool
    label: Label
    categories: tuple[str, ...]
    answer: Answer


class GoldenReport(Struct, frozen=True, kw_only=True):
    """All cases of a policy."""

    results: tuple[CaseResult, ...]
    min_pass: float

    @property
    def passed(self) -> int:
        """Number of cases that passed."""
        return sum(result.passed for result in self.results)

    @property
    def share(self) -> float:
        """Share of cases that passed (1.0 where there are none)."""
        return self.passed / len(self.results) if self.results else 1.0

    @property
    def ok(self) -> bool:
        """Whether the policy's own bar is reached."""
        return self.share >= self.min_pass


#: The judge, as seen from here: a message and a policy in, an answer out.
Ask = Callable[[Message, EffectivePolicy], Awaitable[Answer]]


async def run_golden(policy: Policy, effective: EffectivePolicy, ask: Ask) -> GoldenReport:
    """Ask about every case at once; the caller says under which effective policy, and bounds ``ask``."""
    asked = [_run(index, case, effective, ask) for index, case in enumerate(policy.golden or ())]
    results = await asyncio.gather(*asked)
    return GoldenReport(results=tuple(results), min_pass=bar_of(policy))


def bar_of(policy: Policy) -> float:
    """Return the share of its golden cases that a policy wants to come out right."""
    return DEFAULT_MIN_PASS if policy.min_pass is UNSET else policy.min_pass


async def _run(index: int, case: GoldenCase, effective: EffectivePolicy, ask: Ask) -> CaseResult:
    answer = await ask(message_of(case, index), effective)
    return CaseResult(
        index=index,
        passed=passes(case, answer),
        label=case.label,
        categories=case.categories,
        answer=answer,
    )


def passes(case: GoldenCase, answer: Answer) -> bool:
    """Tell whether the label is right and every category that the case names is hit; more may be."""
    return answer.label == case.label and set(case.categories) <= set(answer.hits)


def message_of(case: GoldenCase, index: int) -> Message:
    """Return a case as the message that a judge reads."""
    return Message(tenant_id=_TENANT, message_id=f"case-{index}", text=case.text, role=case.role, context=case.context)


def unknown_categories(policy: Policy, known: Sequence[str]) -> list[tuple[int, str]]:
    """Return (case, category id) wherever a case names a category that is not in ``known``."""
    return [
        (index, category)
        for index, case in enumerate(policy.golden or ())
        for category in case.categories
        if category not in known
    ]
