"""Policies as files: read, and combined as they would be in force."""

from __future__ import annotations

import sys
from pathlib import Path

from worker.errors import UsageError
from worker.policy.combine import AcceptedPolicy, combine
from worker.policy.document import as_json
from worker.policy.history import read_policy
from worker.policy.model import EffectivePolicy, record_digest
from worker.policy.scope import Scope
from worker.records import PLATFORM, Policy


def read_file(file: str | Path) -> bytes:
    """Return what a file holds; ``-`` reads standard input.

    Raises:
        UsageError: it cannot be read.

    """
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else Path(file).read_bytes()
    except OSError as error:
        text = f"{file} cannot be read ({error.strerror}); give a file, or - for standard input"
        raise UsageError(text) from None


def policy_in(file: str | Path) -> Policy:
    """Return the policy in a file, JSON or TOML.

    Raises:
        UsageError: the file cannot be read.
        PolicyInvalid: it is no policy.

    """
    return read_policy(as_json(read_file(file)))


def accepted(key: str, policy: Policy) -> AcceptedPolicy:
    """Return a policy as if a worker had accepted it for a key."""
    return AcceptedPolicy(scope=key, policy=policy, digest=record_digest(policy), offset=None)


def effective(policy: Policy, who: Scope, floor: str | Path | None) -> EffectivePolicy:
    """Return a policy over the floor in a file, as a worker would judge by it; a floor stands alone."""
    own = accepted(who.live, policy)
    base = accepted(PLATFORM, policy_in(floor)) if floor and not who.is_floor else None
    combined = combine(own, None, None) if who.is_floor else combine(base, own, None)
    assert combined is not None
    return combined
