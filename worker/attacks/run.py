"""A whole run: the proof on the model's own tokenizer, then the measurement on its engine."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

from worker.attacks.cases import Case, generate
from worker.attacks.measure import Report, carriers_right, measure, policy_for, rates
from worker.attacks.policies import hostile_policies
from worker.attacks.structure import Escape, escapes
from worker.config import Settings
from worker.demo.samples import policy_bytes
from worker.errors import PolicyInvalid
from worker.judge.build import build_judge
from worker.judge.folder import find_model
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.policy.accept import Setting, check
from worker.policy.combine import AcceptedPolicy, combine
from worker.policy.model import EffectivePolicy, record_digest
from worker.policy.scope import Scope
from worker.records import PLATFORM, Policy, decode_policy

#: One tenant of the hostile policies.
HOSTILE_TENANT: Final = "hostile"


def floor_policy() -> Policy:
    """Return the demonstration's floor."""
    return decode_policy(policy_bytes(PLATFORM))


def under_hostile_policies(floor: Policy) -> Iterator[EffectivePolicy]:
    """Yield what a hostile tenant's messages are judged under, for each of its records that is accepted."""
    for policy in hostile_policies():
        with contextlib.suppress(PolicyInvalid):
            check(policy, Scope(HOSTILE_TENANT), Setting(floor=floor))
            effective = combine(_accepted(PLATFORM, floor), _accepted(HOSTILE_TENANT, policy), None)
            if effective is not None:
                yield effective


def _accepted(scope: str, policy: Policy) -> AcceptedPolicy:
    return AcceptedPolicy(scope=scope, policy=policy, digest=record_digest(policy), offset=None)


def all_escapes(tokens: Tokens, template: Template, cases: Sequence[Case]) -> list[Escape]:
    """Look for escapes of every message under an ordinary panel, and of some under every hostile policy."""
    found: list[Escape] = []
    for case in cases:
        found += escapes(tokens, template, policy_for(case.carrier.policy).panels[0], [case])
    for policy in under_hostile_policies(floor_policy()):
        for panel in policy.panels:
            found += escapes(tokens, template, panel, cases[:1])
    return found


async def run(settings: Settings, seed: int, per_kind: int) -> Report:
    """Generate, prove and measure.

    Raises:
        ModelError: there is no model to serve.
        EngineDead: the engine did not come up, or went.

    """
    cases = generate(seed, per_kind)
    folder = find_model(settings)
    template = load_template(folder)
    escaped = all_escapes(Tokens(folder, template), template, cases)
    judge = build_judge(settings)
    try:
        await judge.start()
        changes = await measure(judge, cases, settings.in_flight)
    finally:
        await judge.stop()
    return Report(
        date=dt.datetime.now(dt.UTC),
        seed=seed,
        cases=len(cases),
        model=judge.model.name or "",
        fingerprint=judge.model.fingerprint,
        escapes=len(escaped),
        carriers_right=carriers_right(changes),
        families=rates(changes),
    )
