"""Which earlier version of a policy is meant. Pure.

A number may stand for several records: versions start again after a tombstone, and files that somebody starts
from carry version 1. A digest stands for one content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from worker.errors import UsageError
from worker.policy.history import accepted_of
from worker.records import HistoryEntry, Policy

_VERSION: Final = re.compile(r"[0-9]{1,16}")
_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")
_SHOWN_DIGITS: Final = 12


def earlier(
    key: str,
    entries: Iterable[HistoryEntry],
    in_force: HistoryEntry | None,
    to: int | str | None,
    *,
    is_newest: bool = True,
) -> HistoryEntry:
    """Return the accepted version to go back to.

    Args:
        key: the scope.
        entries: what was decided, oldest first.
        in_force: what the scope judges by now; None where it has no policy.
        to: a version, or the beginning of a record's digest; by default the last one that judges otherwise.
        is_newest: whether nothing newer was published than what is in force; else that may be meant, too.

    Raises:
        UsageError: there is none, several share the version, or it is in force.

    """
    accepted = [one for one in entries if one.scope == key and one.decision == "accepted" and one.policy]
    if to is None:
        fitting = [one for one in accepted if in_force is None or one.digest != in_force.digest]
    else:
        fitting = _named(accepted, str(to))
    if not fitting:
        what = "no earlier version that judges otherwise" if to is None else f"no accepted version {to}"
        text = f"{key} has {what}; 'rsafe policy history {key}' shows which it had"
        raise UsageError(text)
    if to is not None:
        _check_one(key, to, fitting)
        _check_change(key, fitting[-1], in_force if is_newest else None)
    return fitting[-1]


def _named(accepted: Sequence[HistoryEntry], to: str) -> list[HistoryEntry]:
    """Return what a word names: digits alone are a version, where there is one."""
    if not _VERSION.fullmatch(to) and not _DIGEST.fullmatch(to):
        text = "--to is no version and no digest; write a number, or 8 or more hex digits of 'rsafe policy history'"
        raise UsageError(text)
    by_version = [one for one in accepted if str(one.version) == to]
    return by_version or [one for one in accepted if _DIGEST.fullmatch(to) and (one.digest or "").startswith(to)]


def _check_one(key: str, to: int | str, fitting: Sequence[HistoryEntry]) -> None:
    newest = {one.digest or "": one for one in fitting}
    if len(newest) > 1:
        which = ", ".join(f"{digest[:_SHOWN_DIGITS]} of {one.decided_at:%Y-%m-%d}" for digest, one in newest.items())
        text = f"version {to} of {key} may be one of several records: {which}; give --to the digest of the one"
        raise UsageError(text)


def _check_change(key: str, chosen: HistoryEntry, in_force: HistoryEntry | None) -> None:
    if in_force is not None and _content(chosen) == _content(in_force):
        text = f"{key} is that already, so nothing was published; 'rsafe policy history {key}' shows what else it had"
        raise UsageError(text)


def _content(entry: HistoryEntry) -> Policy | None:
    """Return a record without what a rollback writes anew, and without its author."""
    accepted = accepted_of(entry)
    policy = accepted.policy if accepted else None
    return replace(policy, version=1, author=UNSET, reason=UNSET, updated_at=UNSET) if policy else None
