"""What is wrong, or only unwise, in a policy file. Pure; nothing is published."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from worker.errors import PolicyInvalid
from worker.policy import crosswalk, lint_cost
from worker.policy.accept import Setting, check
from worker.policy.document import fields_of
from worker.policy.finding import Finding, info, warning
from worker.policy.golden import unknown_categories
from worker.policy.history import read_policy
from worker.policy.lint_clashes import clashes, plain
from worker.policy.lint_cost import Cost
from worker.policy.lint_words import sentences, wording
from worker.policy.model import ANY_LANGUAGE
from worker.policy.scope import Scope
from worker.records import Category, Clause, GoldenCase, Policy, Turn

__all__ = ["Finding", "lint"]

#: Above this many characters every message pays for the policy with time, and the prompt is longer than any that
#: RSafe was trained on: 2048 tokens (its ``run_training.sh``), about four characters each.
LONG_POLICY_CHARS: Final = 8000
#: What the answer of the model begins with (arXiv 2506.07736), or stands around it.
_VERDICTS: Final = frozenset({"safe", "unsafe", "boxed", "think", "verdict"})
_FIRST: Final = "categories[0]"
#: A language tag or its beginning: language, then script, region and the like (RFC 4647).
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def lint(raw: bytes, scope: Scope, floor: Policy | None = None, cost: Cost | None = None) -> list[Finding]:
    """Return what there is to say about a policy record: errors first, what is only good to know last.

    Args:
        raw: the record's bytes (JSON).
        scope: whom it speaks for; the floor is checked otherwise than a tenant.
        floor: the platform's policy, where it is known.
        cost: what stands before each message, where somebody counted it; else it is estimated.

    """
    try:
        policy = read_policy(raw)
    except PolicyInvalid as error:
        return [_refused(error)]
    return [
        *_errors(policy, scope, floor),
        *_unknown_fields(fields_of(raw)),
        *_thin_categories(policy),
        *_confusable_ids(policy, None if scope.is_floor else floor),
        *clashes(policy, None if scope.is_floor else floor),
        *wording(policy, scope, floor),
        *_golden(policy, floor),
        *_failures(policy, scope),
        *_languages(policy),
        *_without_effect(policy, scope),
        *_statements(policy),
        *_size(policy),
        *_examples(policy),
        lint_cost.finding(cost or lint_cost.estimate(policy)),
    ]


def _refused(error: PolicyInvalid, *, floor_known: bool = True) -> Finding:
    cure = f"write {error.expected}"
    if error.field.endswith(".name") and not floor_known:
        cure = "give it a name, or show the floor with --floor if the id is one of its"
    return Finding(level="error", field=error.field, message=f"expected {error.expected}", cure=cure)


def _errors(policy: Policy, scope: Scope, floor: Policy | None) -> list[Finding]:
    """Return what would be refused, one finding for each place: ``check`` stops at the first."""
    found: dict[str, Finding] = {}
    bare = replace(policy, on_failure=UNSET)
    parts = [(index, replace(bare, categories=(one,))) for index, one in enumerate(policy.categories)]
    for index, part in ((0, policy), *parts, (0, replace(policy, categories=()))):
        try:
            check(part, scope, Setting(floor=floor))
        except PolicyInvalid as error:
            place = error.field if part is policy else error.field.replace(_FIRST, f"categories[{index}]", 1)
            finding = _refused(PolicyInvalid(place, error.expected), floor_known=scope.is_floor or floor is not None)
            found.setdefault(place, finding)
    return list(found.values())


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
            yield warning(f"{path}.{name}".lstrip("."), "unknown field, kept and ignored", "is it misspelt?")


def _thin_categories(policy: Policy) -> Iterator[Finding]:
    if not policy.categories and not policy.text:
        yield warning("categories", "nothing can be found unsafe by this policy", "add categories or text")
    for index, category in enumerate(policy.categories):
        path = f"categories[{index}]"
        if category.action == "allow":
            yield warning(f"{path}.action", "a hit changes nothing", "'label' at least, or leave the category out")
        if category.name is UNSET:
            continue
        if not category.definition:
            yield warning(f"{path}.definition", "the model has only the name to go by", "add a definition")
        elif plain(category.definition) == plain(category.name):
            yield warning(f"{path}.definition", "says no more than the name", "say what a reader would see")
        if not category.violates:
            yield warning(f"{path}.violates", "verdicts can cite no clause", "add clauses that say what violates it")
        if category.threshold in {0.0, 1.0}:
            cure = "choose a number between"
            yield warning(f"{path}.threshold", "0 is reached by every message, 1 by hardly any", cure)


def _confusable_ids(policy: Policy, floor: Policy | None) -> Iterator[Finding]:
    """Name ids that a model may take for another one, or for a verdict."""
    seen = {_alike(item.id): item.id for item in floor.categories} if floor else {}
    for index, category in enumerate(policy.categories):
        path = f"categories[{index}].id"
        twin = seen.setdefault(_alike(category.id), category.id)
        if twin != category.id:
            how = "only by case" if twin.casefold() == category.id.casefold() else "only by signs and zeros"
            yield warning(path, f"differs from {twin} {how}", "take another id")
        if _alike(category.id) in _VERDICTS:
            yield warning(path, "reads like a verdict", "take another id")


def _alike(category_id: str) -> str:
    """Return an id without case, signs between its parts, and zeros in front of its numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[._-]", "", category_id.casefold()))


def _golden(policy: Policy, floor: Policy | None) -> Iterator[Finding]:
    known = [item.id for item in (*policy.categories, *(floor.categories if floor else ()))]
    for index, category in unknown_categories(policy, known):
        what = f"{category} is no category of this policy or of the floor"
        yield warning(f"golden[{index}].categories", what, "name one that is, or leave it out")
    for index, case in enumerate(policy.golden or ()):
        if case.label == "safe" and case.categories:
            what = "a safe text hits no category, so this case cannot pass"
            yield warning(f"golden[{index}].categories", what, "leave the categories out")


def _failures(policy: Policy, scope: Scope) -> Iterator[Finding]:
    for status, action in (policy.on_failure or {}).items():
        if action in {"allow", "label"}:
            yield warning(f"on_failure.{status}", "messages that nobody judged go through", "'review' at least")
    if policy.review_band == (0.0, 1.0):
        yield warning("review_band", "every message that hits nothing goes to review", "narrow it to the unsure scores")
    if scope.is_floor and not policy.on_failure:
        what = "the floor leaves it to tenants what happens to messages that nobody judged"
        yield warning("on_failure", what, "give each status its action")


def _languages(policy: Policy) -> Iterator[Finding]:
    for index, language in enumerate(policy.languages or ()):
        if language != ANY_LANGUAGE and not _LANGUAGE.fullmatch(language):
            what = "is no language tag, and messages that name their language by one are not judged for it"
            yield warning(f"languages[{index}]", what, "write 'en', 'en-GB' or '*', or leave the list out for all")


def _without_effect(policy: Policy, scope: Scope) -> Iterator[Finding]:
    if policy.golden and policy.min_pass == 0:
        yield warning("min_pass", "golden cases are judged, and hold nothing back", "say what share of them must pass")
    if policy.floor_mode == "joined" and not scope.is_floor:
        yield warning("floor_mode", "'joined' counts in the platform's policy alone", "leave it out, or say 'separate'")


def _statements(policy: Policy) -> Iterator[Finding]:
    """Look at what goes into a statement of reasons (Digital Services Act, article 24(5))."""
    for index, category in enumerate(policy.categories):
        path, said = f"categories[{index}]", category.dsa_category
        if said and said not in crosswalk.dsa_categories():
            near = crosswalk.nearest_dsa(said)
            cure = f"is it {near}?" if near else "'rsafe policy crosswalk' lists them"
            yield warning(f"{path}.dsa_category", "no category of a statement of reasons", cure)
        elif said and not (category.notice and category.ground):
            yield info(path, "no statement of reasons can be written for it", "add 'notice' and 'ground'")
        if category.reference_url and not category.reference_url.startswith(("https://", "http://")):
            yield warning(f"{path}.reference_url", "no web address", "begin with https://")


def _size(policy: Policy) -> Iterator[Finding]:
    size = sum(len(text) for _, text in sentences(policy))
    if size > LONG_POLICY_CHARS:
        yield warning("", f"{size} characters of policy are read before each message", "shorter is faster")


def _examples(policy: Policy) -> Iterator[Finding]:
    """Name the categories that no golden case shows, so that nothing notices when they stop working."""
    shown = {category for case in policy.golden or () for category in case.categories}
    for index, category in enumerate(policy.categories):
        if category.name is not UNSET and category.id not in shown:
            yield info(f"categories[{index}]", "no golden case shows what it catches", "add one to 'golden'")
    if policy.categories and not any(case.label == "safe" for case in policy.golden or ()):
        yield info("golden", "no golden case shows what must stay safe", "add one with label 'safe'")
