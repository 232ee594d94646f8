"""Whose prompts may share what the engine remembers of a prompt's beginning. Pure.

The engine answers sooner where it has seen a prefix before. Whoever can time verdicts can therefore
ask whether a text stood in somebody's prompt: send the guess, and see whether it is fast. A salt in
the hash of the first block keeps caches apart (``cache_salt``; vLLM's RFC 16016, CVE-2025-46570).
"""

from __future__ import annotations

from typing import Literal

from worker.policy.model import Panel
from worker.records import PLATFORM

Salting = Literal["private", "tenant", "none"]


def cache_salt(salting: Salting, panel: Panel, tenant_id: str) -> str | None:
    """Return the salt of a call; calls share cached prefixes only where their salts are equal.

    ``private``: a panel with a tenant's own words has the tenant's salt, a panel of the platform's words
    alone has none, so that all tenants share the floor's prefix: the longest and most frequent one. What
    is left is that a tenant could learn whether a message equal to its own was judged a moment ago.
    ``tenant`` closes that too, and each tenant's first messages pay for the floor's prefix again.
    """
    if salting == "none" or (salting == "private" and not _has_own_words(panel)):
        return None
    return tenant_id


def _has_own_words(panel: Panel) -> bool:
    scopes = {category.scope for category in panel.categories} | {prose.scope for prose in panel.prose}
    return not scopes <= {PLATFORM}
