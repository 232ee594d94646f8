"""Policies for tests, short to write down."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from tests.support import planted
from worker.policy.combine import AcceptedPolicy
from worker.policy.model import record_digest
from worker.records import Category, Clause, Policy


def category(id: str, name: str | None = None, **fields: Any) -> Category:  # noqa: A002  (the record's word)
    """Build a category; without a name it can only tighten the floor."""
    return Category(id=id, name=UNSET if name is None else name, **fields)


def clause(id: str, text: str = "Something.") -> Clause:  # noqa: A002  (the record's word)
    """Build a clause."""
    return Clause(id=id, text=text)


def policy(*categories: Category, version: int = 1, title: str = "A policy", **fields: Any) -> Policy:
    """Build a policy record; who wrote it stands in it."""
    return Policy(title=title, version=version, categories=categories, **{"author": planted.EMAIL} | fields)


def accepted(scope: str, record: Policy, offset: int = 0) -> AcceptedPolicy:
    """Return a record as it stands in force."""
    return AcceptedPolicy(scope=scope, policy=record, digest=record_digest(record), offset=offset)


def raw(*categories: Category, **fields: Any) -> bytes:
    """Build a policy record as its bytes."""
    return msgspec.json.encode(policy(*categories, **fields))
