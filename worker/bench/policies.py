"""The sample policies as a source that never changes, so that no measurement waits for Kafka's policy topic."""

from __future__ import annotations

from worker.demo.samples import TENANTS, policy_bytes
from worker.policy.combine import AcceptedPolicy, combine
from worker.policy.model import EffectivePolicy, record_digest
from worker.records import PLATFORM, decode_policy


class FixedPolicies:
    """A ``PolicySource`` over the floor and the three tenants of the demonstration."""

    def __init__(self) -> None:
        """Read and combine all of them."""
        floor = _accepted(PLATFORM)
        self._floor = combine(floor, None, None)
        self._by_tenant = {name: combine(floor, _accepted(name), None) for name in TENANTS}

    def resolve(self, tenant_id: str, channel_id: str | None) -> EffectivePolicy | None:  # noqa: ARG002
        """Return the tenant's policy, or the floor; no channel has a policy of its own."""
        return self._by_tenant.get(tenant_id, self._floor)

    def stale(self) -> bool:
        """Return false: there is nothing newer."""
        return False


def _accepted(name: str) -> AcceptedPolicy:
    policy = decode_policy(policy_bytes(name))
    return AcceptedPolicy(scope=name, policy=policy, digest=record_digest(policy), offset=None)
