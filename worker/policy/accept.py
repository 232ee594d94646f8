"""Whether a policy record may come into force. Pure.

``worker.records.decode_policy`` has settled the types. Here follow the rules between fields, towards
the floor and towards the key's last accepted version. Every refusal names the field and what should
stand there, never what does stand there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn, TypeVar

from msgspec import UNSET, Struct, UnsetType

from worker.errors import PolicyInvalid
from worker.policy.combine import DEFAULT_FAILURE, effective
from worker.policy.scope import Scope
from worker.records import ACTIONS, SEVERITIES, Category, Clause, Policy

#: A record above this is refused unread; written into ``policy-history`` it may double.
MAX_RECORD_BYTES: Final = 256 * 1024
MAX_CATEGORIES: Final = 64
MAX_CLAUSES: Final = 64
MAX_NAME_CHARS: Final = 200
MAX_SENTENCE_CHARS: Final = 2000
MAX_TEXT_CHARS: Final = 100_000
MAX_GOLDEN_CASES: Final = 1000
MAX_LANGUAGES: Final = 200
MAX_LANGUAGE_CHARS: Final = 35

#: All that a category may carry when its id is one of the floor's.
_MAY_TIGHTEN: Final = frozenset({"id", "severity", "threshold", "action"})
_BREAKS: Final = frozenset({"Cc", "Zl", "Zp"})

T = TypeVar("T")


class Setting(Struct, frozen=True, kw_only=True):
    """What a record is checked against: the floor in force, and the key's last accepted version."""

    floor: Policy | None = None
    last_version: int | None = None


def check(policy: Policy, scope: Scope, setting: Setting) -> None:
    """Return if a record may come into force for ``scope``.

    A channel is checked against the floor and never against its tenant, which it may override.

    Raises:
        PolicyInvalid: naming the first wrong field.

    """
    _check_version(policy, setting.last_version)
    _check_texts(policy)
    _check_ids(policy)
    _check_band(policy)
    floor = None if scope.is_floor else setting.floor
    for index, category in enumerate(policy.categories):
        _check_category(category, f"categories[{index}]", floor)
    if floor is not None:
        _check_on_failure(policy, floor)


def refuse(field: str, expected: str) -> NoReturn:
    """Refuse a record.

    Raises:
        PolicyInvalid: always.

    """
    raise PolicyInvalid(field, expected)


def _check_version(policy: Policy, last: int | None) -> None:
    if last is not None and policy.version <= last:
        refuse("version", "an integer above the last accepted version of this key")


def _check_texts(policy: Policy) -> None:
    _check_line("title", policy.title)
    _check_size("text", policy.text or "", MAX_TEXT_CHARS)
    _check_count("categories", policy.categories, MAX_CATEGORIES)
    _check_count("golden", policy.golden or (), MAX_GOLDEN_CASES)
    _check_count("languages", policy.languages or (), MAX_LANGUAGES)
    for index, language in enumerate(policy.languages or ()):
        _check_size(f"languages[{index}]", language, MAX_LANGUAGE_CHARS)


def _check_ids(policy: Policy) -> None:
    _check_unique((f"categories[{index}].id", item.id) for index, item in enumerate(policy.categories))


def _check_band(policy: Policy) -> None:
    if policy.review_band is not UNSET and policy.review_band[0] > policy.review_band[1]:
        refuse("review_band", "two numbers from 0 to 1, the lower one first")


def _check_category(category: Category, path: str, floor: Policy | None) -> None:
    counterpart = _counterpart(category, floor)
    if counterpart is not None:
        _check_tightens(category, counterpart, path)
        return
    if category.name is UNSET:
        refuse(f"{path}.name", "a name, since the id is not one of the floor's (missing)")
    _check_line(f"{path}.name", category.name)
    _check_size(f"{path}.definition", category.definition or "", MAX_SENTENCE_CHARS)
    lists = {f"{path}.violates": category.violates or (), f"{path}.allowed": category.allowed or ()}
    for place, clauses in lists.items():
        _check_clauses(place, clauses)
    # One name space: a verdict cites a clause as category and clause id.
    _check_unique((f"{place}[{index}].id", item.id) for place, one in lists.items() for index, item in enumerate(one))


def _counterpart(category: Category, floor: Policy | None) -> Category | None:
    return next((item for item in floor.categories if item.id == category.id), None) if floor else None


def _check_clauses(path: str, clauses: Sequence[Clause]) -> None:
    _check_count(path, clauses, MAX_CLAUSES)
    for index, clause in enumerate(clauses):
        _check_size(f"{path}[{index}].text", clause.text, MAX_SENTENCE_CHARS)


def _check_tightens(category: Category, floor: Category, path: str) -> None:
    """Refuse whatever does not make the floor's category stricter."""
    for name in Category.__struct_fields__:
        if name not in _MAY_TIGHTEN and getattr(category, name) is not UNSET:
            refuse(f"{path}.{name}", "nothing: under an id of the floor only severity, threshold and action may stand")
    required = effective(floor)
    _check_not_milder(f"{path}.action", category.action, required.action, ACTIONS)
    _check_not_milder(f"{path}.severity", category.severity, required.severity, SEVERITIES)
    if category.threshold is not UNSET and required.threshold is not UNSET and category.threshold > required.threshold:
        refuse(f"{path}.threshold", "a number not above the floor's")


def _check_not_milder(path: str, said: T | UnsetType, floor: T | UnsetType, order: Sequence[T]) -> None:
    if said is not UNSET and floor is not UNSET and order.index(said) < order.index(floor):
        refuse(path, "a value not milder than the floor's")


def _check_on_failure(policy: Policy, floor: Policy) -> None:
    required = floor.on_failure or {}
    for status, action in (policy.on_failure or {}).items():
        # A status that the floor does not name means review there.
        if ACTIONS.index(action) < ACTIONS.index(required.get(status, DEFAULT_FAILURE)):
            refuse(f"on_failure.{status}", "an action not milder than the floor's")


def _check_line(path: str, text: str) -> None:
    """Refuse a name that is empty, long, or breaks its line: it stands in a prompt and in tables."""
    broken = any(unicodedata.category(sign) in _BREAKS for sign in text)
    if not text.strip() or broken or len(text) > MAX_NAME_CHARS:
        refuse(path, f"one line of 1 to {MAX_NAME_CHARS} characters without control characters")


def _check_size(path: str, text: str, limit: int) -> None:
    if len(text) > limit:
        refuse(path, f"at most {limit} characters")


def _check_count(path: str, items: Sequence[object], limit: int) -> None:
    if len(items) > limit:
        refuse(path, f"at most {limit} items")


def _check_unique(ids: Iterable[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for path, one in ids:
        if one in seen:
            refuse(path, "an id that stands only once")
        seen.add(one)
