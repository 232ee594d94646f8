"""Which calls a message needs, given how a model wants to be asked. Pure.

Guards that judge one harm at a time exist beside those that read a whole policy: ShieldGemma (arXiv 2407.21772) is
asked once for each harm. A template says which of the two its model is.
"""

from __future__ import annotations

from msgspec import structs

from worker.judge.template import Template
from worker.policy.model import Call, EffectivePolicy, Panel


def calls(template: Template, policy: EffectivePolicy, language: str | None) -> tuple[Call, ...]:
    """Return the calls for a message in a language; its author may have named none."""
    asked = policy.calls_for(language)
    if template.categories != "apart":
        return asked
    return tuple(structs.replace(call, panel=panel) for call in asked for panel in apart(call.panel))


def apart(panel: Panel) -> tuple[Panel, ...]:
    """Return a panel for each category.

    One with prose stays whole, since prose may speak of any of its categories, allow or forbid.
    """
    if panel.prose or not panel.categories:
        return (panel,)
    return tuple(Panel(categories=(one,)) for one in panel.categories)
