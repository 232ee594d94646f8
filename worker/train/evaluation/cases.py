"""What is asked of a model: a row under a policy, and the label that is right. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, structs

from worker.policy.model import EffectiveCategory, EffectivePolicy, Judging, Panel
from worker.records import Message, PolicyPart, Reasoning, ScoreMethod
from worker.train.data.labels import one
from worker.train.data.rows import Row
from worker.train.data.taxonomy import UNSAFE, WHOLE
from worker.train.evaluation.papers import part_of
from worker.train.examples.fit import fits
from worker.train.examples.format import OWN
from worker.train.policies.wording import Wording
from worker.train.policies.wordings import TRAINING

Case = tuple[str, Wording, Row, bool]

#: The way of reasoning that makes each kind of score.
REASONING: Final[dict[ScoreMethod, Reasoning]] = {"direct": "never", "trace": "always"}
#: Before the names of questions in held-out words.
WORDING: Final = "wording/"
METHODS: Final[tuple[ScoreMethod, ...]] = ("direct", "trace")


class Asked(Struct, frozen=True, kw_only=True):
    """One question.

    Attributes:
        name: of the set of questions that figures are given for, such as ``sms/spam``.
        place: of the row; unique within the name.
        group: rows of one group are resampled together.
        source, concept: what the row comes from, and what it is asked for (empty: several).
        message, policy: what is judged.
        unsafe: the label that is right.
        right_ids: ids of the categories that it violates; none where only the verdict is known.

    """

    name: str
    place: str
    group: str
    source: str
    concept: str = ""
    message: Message
    policy: EffectivePolicy
    unsafe: bool
    right_ids: tuple[str, ...] = ()


def canonical(key: str) -> Wording:
    """Return the policy of one concept in its canonical words, or for the verdict that of the whole taxonomy."""
    if key == UNSAFE:
        return structs.replace(canonical_of(WHOLE), overall=UNSAFE)
    return canonical_of((key,))


def canonical_of(keys: Sequence[str]) -> Wording:
    """Return the policy of several concepts or parts, each in its canonical words."""
    return Wording(panel=Panel(categories=tuple(map(_category, keys))), senses=tuple(map(one, keys)))


def _category(key: str) -> EffectiveCategory:
    concept = TRAINING.words[key]
    return EffectiveCategory(scope="t", id=concept.ids[0], name=concept.names[0], definition=concept.definitions[0])


def cases(rows: Sequence[Row], limit: int) -> list[Case]:
    """Return up to ``limit`` rows for each data set, or official test split, and concept that it was labelled for."""
    found: dict[str, list[Case]] = defaultdict(list)
    for row in rows:
        for key in OWN[row.source]:
            name = f"{part_of(row)}/{key}"
            if key in row.known and fits(row) and len(found[name]) < limit:
                found[name].append((name, canonical(key), row, row.known[key]))
    return [case for name in sorted(found) for case in found[name]]


def effective(panel: Panel, method: ScoreMethod) -> EffectivePolicy:
    """Return the policy that asks for this panel and makes this kind of score.

    All of its categories and prose have one scope, so nothing is a floor that would be asked for itself.
    """
    part = PolicyPart(scope="t", version=1, digest="", offset=None)
    judging = Judging(categories=panel.categories, prose=panel.prose, reasoning=REASONING[method], floor_mode="joined")
    return EffectivePolicy(judging=judging, parts=(part,))


def message_of(row: Row) -> Message:
    """Return the message that a row stands for."""
    return Message(tenant_id="eval", message_id=row.place[:256], text=row.text, role=row.role, context=row.context)


def asked(row: Row, wording: Wording, method: ScoreMethod, *, name: str, concept: str = "", place: str = "") -> Asked:
    """Ask for a row under a policy.

    Raises:
        ValueError: the row's labels do not say whether it violates the policy.

    """
    met = wording.met(row.known) or ()
    categories = wording.panel.categories
    return Asked(
        name=name,
        place=place or row.place,
        group=row.group or row.place,
        source=row.source,
        concept=concept,
        message=message_of(row),
        policy=effective(wording.panel, method),
        unsafe=wording.unsafe(row.known),
        right_ids=tuple(category.id for category, hit in zip(categories, met, strict=False) if hit),
    )


def own_questions(
    rows: Sequence[Row],
    limit: int,
    method: ScoreMethod,
    words: Callable[[str], Wording] = canonical,
    prefix: str = "",
) -> list[Asked]:
    """Ask for every row under a policy of each concept that its set was labelled for.

    Args:
        rows: those first in order are taken.
        limit: for each set and concept.
        method: of the score.
        words: the policy of a concept.
        prefix: of the names.

    """
    return [
        asked(row, words(key), method, name=prefix + name, concept=key)
        for name, _, row, _ in cases(rows, limit)
        for key in (name.partition("/")[2],)
    ]
