"""Messages, panels and policies for tests of the judge, short to write down."""

from __future__ import annotations

from typing import Any

from worker.policy.model import EffectiveCategory, EffectivePolicy, Judging, Panel, Prose
from worker.records import Clause, Message


def category(id: str, scope: str = "shop", **fields: Any) -> EffectiveCategory:  # noqa: A002  (the record's word)
    """Build a category; its name says its id."""
    return EffectiveCategory(scope=scope, id=id, name=fields.pop("name", f"Name of {id}"), **fields)


def clauses(*ids: str) -> tuple[Clause, ...]:
    """Build clauses."""
    return tuple(Clause(id=name, text=f"Text of {name}.") for name in ids)


def panel(*categories: EffectiveCategory, prose: str = "") -> Panel:
    """Build a panel; with U7 and U8 by default."""
    texts = (Prose(scope="shop", text=prose),) if prose else ()
    return Panel(categories=categories or (category("U7"), category("U8")), prose=texts)


def policy(*categories: EffectiveCategory, prose: str = "", **judging: Any) -> EffectivePolicy:
    """Build an effective policy; with U7 and U8 by default."""
    texts = (Prose(scope="shop", text=prose),) if prose else ()
    chosen = categories or (category("U7"), category("U8"))
    return EffectivePolicy(judging=Judging(categories=chosen, prose=texts, **judging), parts=())


def prose_alone(text: str) -> EffectivePolicy:
    """Build an effective policy of prose without any category."""
    return EffectivePolicy(judging=Judging(categories=(), prose=(Prose(scope="shop", text=text),)), parts=())


def floor_and_own(**judging: Any) -> EffectivePolicy:
    """Build a policy with one category of the floor and one of a tenant that also writes prose."""
    own = category("SPAM", name="Spam")
    return policy(category("U7", "platform"), own, prose="We sell garden tools.", **judging)


def message(text: str, **fields: Any) -> Message:
    """Build a message."""
    return Message(tenant_id="shop", message_id=fields.pop("message_id", "m1"), text=text, **fields)
