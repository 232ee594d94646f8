"""The sample policies as a source that never changes, so that no measurement waits for Kafka's policy topic."""

from __future__ import annotations

from worker.demo.samples import TENANTS, policy_bytes
from worker.policy.combine import as_if_in_force
from worker.policy.model import EffectivePolicy
from worker.records import PLATFORM, Policy, decode_policy


class FixedPolicies:
    """A ``PolicySource`` over the floor and the three tenants of the demonstration."""

    def __init__(self) -> None:
        """Read and combine all of them."""
        floor = _sample(PLATFORM)
        self._floor = as_if_in_force(PLATFORM, floor)
        self._by_tenant = {name: as_if_in_force(name, _sample(name), floor) for name in TENANTS}

    def resolve(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:  # noqa: ARG002
        """Return the tenant's policy, or the floor; no channel has a policy of its own."""
        return self._by_tenant.get(tenant_id, self._floor)

    def stale(self) -> bool:
        """Return false: there is nothing newer."""
        return False


def _sample(name: str) -> Policy:
    return decode_policy(policy_bytes(name))
