"""Policies as files: read, and combined as they would be in force."""

from __future__ import annotations

import sys
from pathlib import Path

from worker.errors import UsageError
from worker.policy.combine import as_if_in_force
from worker.policy.document import as_json
from worker.policy.history import read_policy
from worker.policy.model import EffectivePolicy
from worker.policy.scope import Scope
from worker.records import Policy


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


def effective(policy: Policy, who: Scope, floor: str | Path | None) -> EffectivePolicy:
    """Return a policy over the floor in a file, as a worker would judge by it; a floor stands alone."""
    return as_if_in_force(who.live, policy, policy_in(floor) if floor and not who.is_floor else None)
