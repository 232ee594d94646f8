"""Where the data plane asks for policies."""

from __future__ import annotations

from typing import Protocol

from worker.policy.model import EffectivePolicy


class PolicySource(Protocol):
    """The policies in force right now."""

    def resolve(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:
        """Return what this tenant's channel is judged under; None where there is no policy at all."""

    def stale(self) -> bool:
        """Tell whether the source has been silent for so long that its policies may be old."""
