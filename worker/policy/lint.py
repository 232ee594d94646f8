"""What is wrong, or only unwise, in a policy file. Pure; nothing is published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, Literal

from msgspec import UNSET, Struct

from worker.errors import PolicyInvalid
from worker.policy.accept import Setting, check
from worker.policy.document import fields_of
from worker.policy.golden import unknown_categories
from worker.policy.history import read_policy
from worker.policy.scope import Scope
from worker.records import Category, Clause, GoldenCase, Policy, Turn

#: Above this many characters of prompt every message pays for the policy with time.
LONG_POLICY_CHARS: Final = 6000

#: Words that two readers understand in two ways.
_VAGUE: Final = re.compile(
    r"\b(inappropriate|improper|unacceptable|objectionable|problematic|undesirable|harmful|toxic|bad|nasty"
    r"|sensitive|questionable|distasteful|etc|and so on|things like|such stuff|some kind of|in general|usually"
    r"|as needed|common sense)\b",
    re.IGNORECASE,
)
#: What a prompt uses to separate its parts, and what an answer ends with.
_FENCE: Final = re.compile(
    r"<\|[^|\n]{1,40}\|>|</?think>|\\boxed\s*\{|\[/?INST\]|<</?SYS>>|<(BEGIN|END) \w+>|^#{3,}\s", re.MULTILINE
)
_LINE_END: Final = re.compile("[\n\r\x0b\x0c\x85\u2028\u2029]")

Level = Literal["error", "warning"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing to look at; an ``error`` would be refused."""

    level: Level
    field: str
    message: str


def lint(raw: bytes, scope: Scope, floor: Policy | None = None) -> list[Finding]:
    """Return what there is to say about a policy record, errors first.

    Args:
        raw: the record's bytes (JSON).
        scope: whom it speaks for; the floor is checked otherwise than a tenant.
        floor: the platform's policy, where it is known.

    """
    try:
        policy = read_policy(raw)
    except PolicyInvalid as error:
        return [_refused(error)]
    errors: list[Finding] = []
    try:
        check(policy, scope, Setting(floor=floor))
    except PolicyInvalid as error:
        errors.append(_refused(error))
    return [
        *errors,
        *_unknown_fields(fields_of(raw)),
        *_thin_categories(policy),
        *_confusable_ids(policy),
        *_wording(policy),
        *_golden(policy, floor),
        *_failures(policy, scope),
        *_size(raw),
    ]


def _refused(error: PolicyInvalid) -> Finding:
    return Finding(level="error", field=error.field, message=f"expected {error.expected}")


def _warn(field: str, message: str) -> Finding:
    return Finding(level="warning", field=field, message=message)


def _unknown_fields(fields: dict[str, Any]) -> Iterator[Finding]:
    places: list[tuple[str, Any, type[Struct]]] = [("", fields, Policy)]
    for index, category in enumerate(fields["categories"]):
        path = f"categories[{index}]"
        places.append((path, category, Category))
        for name in ("violates", "allowed"):
            places += [(f"{path}.{name}[{at}]", clause, Clause) for at, clause in enumerate(category.get(name, ()))]
    for index, case in enumerate(fields.get("golden", ())):
        places.append((f"golden[{index}]", case, GoldenCase))
        places += [(f"golden[{index}].context[{at}]", turn, Turn) for at, turn in enumerate(case.get("context", ()))]
    for path, value, kind in places:
        for name in value.keys() - set(kind.__struct_fields__):
            yield _warn(f"{path}.{name}".lstrip("."), "unknown field: it is kept and ignored; is it misspelt?")


def _thin_categories(policy: Policy) -> Iterator[Finding]:
    if not policy.categories and not policy.text:
        yield _warn("categories", "neither categories nor text: nothing can be found unsafe by this policy")
    for index, category in enumerate(policy.categories):
        if category.name is UNSET:
            continue
        if not category.definition:
            yield _warn(f"categories[{index}].definition", "no definition: the model has only the name to go by")
        if not category.violates:
            yield _warn(f"categories[{index}].violates", "no clause says what violates it; verdicts can cite none")
        if category.threshold in {0.0, 1.0}:
            yield _warn(f"categories[{index}].threshold", "0 is reached by every message, 1 by hardly any")


def _confusable_ids(policy: Policy) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for index, category in enumerate(policy.categories):
        twin = seen.setdefault(category.id.casefold(), category.id)
        if twin != category.id:
            yield _warn(f"categories[{index}].id", f"differs from {twin} only by case")


def _wording(policy: Policy) -> Iterator[Finding]:
    for path, text in _sentences(policy):
        vague = _VAGUE.search(text)
        if vague:
            yield _warn(path, f"vague word '{vague[0]}': say what a reader would see")
        if _FENCE.search(text):
            yield _warn(path, "looks like a marker of a prompt or of a verdict; it is read as plain text")
        if path != "text" and _LINE_END.search(text):
            yield _warn(path, "a line end inside a sentence; each clause is one line of the prompt")


def _sentences(policy: Policy) -> Iterator[tuple[str, str]]:
    yield "text", policy.text or ""
    for index, category in enumerate(policy.categories):
        path = f"categories[{index}]"
        yield f"{path}.name", category.name or ""
        yield f"{path}.definition", category.definition or ""
        for name, clauses in (("violates", category.violates or ()), ("allowed", category.allowed or ())):
            for at, clause in enumerate(clauses):
                yield f"{path}.{name}[{at}].text", clause.text


def _golden(policy: Policy, floor: Policy | None) -> Iterator[Finding]:
    known = [item.id for item in (*policy.categories, *(floor.categories if floor else ()))]
    for index, category in unknown_categories(policy, known):
        yield _warn(f"golden[{index}].categories", f"{category} is no category of this policy or of the floor")
    for index, case in enumerate(policy.golden or ()):
        if case.label == "safe" and case.categories:
            yield _warn(f"golden[{index}].categories", "a safe text hits no category, so this case cannot pass")


def _failures(policy: Policy, scope: Scope) -> Iterator[Finding]:
    for status, action in (policy.on_failure or {}).items():
        if action in {"allow", "label"}:
            yield _warn(f"on_failure.{status}", "messages that nobody judged go through")
    if scope.is_floor and not policy.on_failure:
        yield _warn("on_failure", "the floor leaves it to tenants what happens to messages that nobody judged")


def _size(raw: bytes) -> Iterator[Finding]:
    size = sum(len(text) for _, text in _sentences(read_policy(raw)))
    if size > LONG_POLICY_CHARS:
        yield _warn("", f"{size} characters of policy are read before each message; shorter is faster")
