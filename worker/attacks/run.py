"""A whole run: the proof on the model's own tokenizer, then the measurement on its engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from worker.attacks.cases import Case, generate
from worker.attacks.floor import FloorReport, floors, measure_floors, under_hostile_policies
from worker.attacks.measure import Report, carriers_right, measure, policy_for, rates
from worker.attacks.structure import Escape, escapes
from worker.config import Settings
from worker.demo.samples import policy_bytes
from worker.judge import asking
from worker.judge.build import build_judge
from worker.judge.folder import find_model
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.records import PLATFORM, Policy, decode_policy


def floor_policy() -> Policy:
    """Return the demonstration's floor."""
    return decode_policy(policy_bytes(PLATFORM))


def all_escapes(tokens: Tokens, template: Template, cases: Sequence[Case]) -> list[Escape]:
    """Look for escapes of every message under an ordinary panel, and of some under every hostile policy."""
    found: list[Escape] = []
    for case in cases:
        for panel in asking.panels(template, policy_for(case.carrier.policy)):
            found += escapes(tokens, template, panel, [case])
    for policy in under_hostile_policies(floor_policy()):
        for panel in asking.panels(template, policy):
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


async def run_floors(settings: Settings) -> FloorReport:
    """Measure what hostile tenants do to floors.

    Raises:
        ModelError: there is no model to serve.
        EngineDead: the engine did not come up, or went.

    """
    judge = build_judge(settings)
    try:
        await judge.start()
        change = await measure_floors(judge, floors(), settings.in_flight)
    finally:
        await judge.stop()
    return FloorReport(
        date=dt.datetime.now(dt.UTC),
        model=judge.model.name or "",
        fingerprint=judge.model.fingerprint,
        change=change,
    )
