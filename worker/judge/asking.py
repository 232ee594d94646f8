"""Which calls a message needs, given how a model wants to be asked. Pure.

Guards that judge one harm at a time exist beside those that read a whole policy: ShieldGemma (arXiv 2407.21772) is
asked once for each harm. A template says which of the two its model is.
"""

from __future__ import annotations

from worker.judge.template import Template
from worker.policy.model import Call, EffectivePolicy, Panel


def calls(template: Template, policy: EffectivePolicy, language: str | None) -> tuple[Call, ...]:
    """Return the calls for a message in a language; its author may have named none."""
    return policy.calls_for(language, apart=template.categories == "apart")


def panels(template: Template, policy: EffectivePolicy) -> tuple[Panel, ...]:
    """Return what stands in each prompt for a message whose author named no language."""
    return tuple(call.panel for call in calls(template, policy, None))
