"""Where the data plane asks for policies."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from worker.policy.model import EffectivePolicy, Rehearsal


class PolicySource(Protocol):
    """The policies in force right now."""

    def resolve(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:
        """Return what this tenant's channel is judged under; None where there is no policy at all."""

    def stale(self) -> bool:
        """Tell whether the source has been silent for so long that its policies may be old."""


@runtime_checkable
class RehearsalSource(Protocol):
    """A source of policies that also knows which ones are rehearsed; other sources rehearse none."""

    def rehearsals(self, tenant_id: str, channel_id: str | None) -> tuple[Rehearsal, ...]:
        """Return what is tried beside the policy of this tenant's channel, floor first; empty as a rule."""
