r"""The one reader of what a model writes: serving, training and evaluation all use it. Pure.

It never raises, whatever the text is. ``parse_answer`` is strict: it takes what the grammar allows.
``parse_free`` reads a whole free text as RSafe models write it and forgives what their authors' own
runs show: ``\boxed{\text{safe}}``, ``\boxed{Unsafe (U1 - ...)}``, a missing backslash. A box counts
only after the reasoning's end, since the reasoning may quote one from the message.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from worker.judge.grammar import LEAD, SEPARATOR
from worker.judge.template import Template
from worker.policy.model import Panel
from worker.records import Label, Status

#: The conclusion is looked for in so many characters at the end: a bound on the pattern's time.
CONCLUSION_CHARS: Final = 400
_WORD: Final = re.compile(r"[A-Za-z0-9._-]+")
#: The look behind keeps it linear in the text's length.
_CLAUSE: Final = re.compile(r"(?<![A-Za-z0-9._-])[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
_LABEL: Final = re.compile(r"\s*(?:\\text\s*\{\s*)?(?P<label>unsafe|safe)\b", re.IGNORECASE)
_LABELS: Final[dict[str, Label]] = {"safe": "safe", "unsafe": "unsafe"}
_TRIMMED: Final = "._-"


class Answer(Struct, frozen=True, kw_only=True):
    """A label and the ids behind it."""

    label: Label
    ids: tuple[str, ...] = ()


class Reading(Struct, frozen=True, kw_only=True):
    """What one call's text says.

    Attributes:
        status: ``judged``, ``truncated``, ``unparseable`` or ``contradictory``.
        model_label: the model's word, whatever the status.
        cited: (scope, category id) pairs in the panel's order; none unless ``judged``.
        clauses: ``<category id>/<clause id>`` of the panel that the reasoning names, in the panel's order.

    """

    status: Status
    model_label: Label | None = None
    cited: tuple[tuple[str, str], ...] = ()
    clauses: tuple[str, ...] = ()


def panel_ids(panel: Panel) -> tuple[str, ...]:
    """Return the panel's category ids, distinct, in its order."""
    return tuple(dict.fromkeys(category.id for category in panel.categories))


def parse_answer(text: str, ids: Sequence[str], close: str) -> Answer | None:
    """Read what was written under ``answer_grammar``; None where it is something else."""
    if text == "safe" + close:
        return Answer(label="safe")
    if not text.startswith("unsafe" + close):
        return None
    rest = text.removeprefix("unsafe" + close)
    if not ids:
        return None if rest else Answer(label="unsafe")
    found = parse_ids(rest, ids)
    return None if found is None else Answer(label="unsafe", ids=found)


def parse_ids(text: str, ids: Sequence[str]) -> tuple[str, ...] | None:
    """Read what was written under ``ids_grammar``; None where it is something else."""
    if not text.startswith(LEAD):
        return None
    found = text.removeprefix(LEAD).split(SEPARATOR)
    places = {name: place for place, name in enumerate(ids)}
    order = [places.get(name, -1) for name in found]
    rises = all(first < second for first, second in itertools.pairwise(order))
    return tuple(found) if order[0] >= 0 and rises else None


def read(
    reasoning: str | None, answer: Answer | None, panel: Panel, template: Template, *, truncated: bool = False
) -> Reading:
    """Put reasoning and answer together.

    Args:
        reasoning: the text of the reasoning; None where the model did not reason.
        answer: what ``parse_answer`` made of the verdict.
        panel: the categories that could be cited.
        template: knows how a reasoning concludes.
        truncated: the reasoning was cut by its budget.

    """
    label = answer.label if answer else None
    clauses = cited_clauses(reasoning or "", panel)
    status: Status = "judged"
    if truncated:
        status = "truncated"
    elif answer is None:
        status = "unparseable"
    elif conclusion(reasoning or "", template) not in {None, label}:
        status = "contradictory"
    cited = cited_pairs(answer.ids, panel) if answer and status == "judged" else ()
    return Reading(status=status, model_label=label, cited=cited, clauses=clauses)


def cited_pairs(ids: Iterable[str], panel: Panel) -> tuple[tuple[str, str], ...]:
    """Return (scope, id) of the panel's categories with these ids, in the panel's order."""
    wanted = set(ids)
    return tuple((category.scope, category.id) for category in panel.categories if category.id in wanted)


def cited_clauses(reasoning: str, panel: Panel) -> tuple[str, ...]:
    """Return the panel's clauses that a text names, in the panel's order."""
    if "/" not in reasoning:
        return ()
    known = [
        f"{category.id}/{clause.id}"
        for category in panel.categories
        for clause in (*category.violates, *category.allowed)
    ]
    return _named(_CLAUSE.findall(reasoning), known)


def _named(words: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the known names among words, which may carry a full stop or a hyphen at their ends."""
    names = set(known)
    found = {name for word in words for name in (word, word.rstrip(_TRIMMED), word.strip(_TRIMMED)) if name in names}
    return tuple(name for name in dict.fromkeys(known) if name in found)


def conclusion(reasoning: str, template: Template) -> Label | None:
    """Return the label that a reasoning concludes with; None where it does not say."""
    pattern = template.conclusion_pattern
    if pattern is None:
        return None
    words = [found["label"] or "" for found in pattern.finditer(reasoning[-CONCLUSION_CHARS:])]
    return _LABELS.get(words[-1].lower()) if words else None


def parse_free(text: str, panel: Panel, template: Template, *, truncated: bool = False) -> Reading:
    """Read a whole free text: reasoning, its end, the boxed label, and ids after it or inside it.

    Ids are looked for behind the box, then inside it, then in the reasoning.

    Args:
        text: what the model wrote after the prompt; it may begin with the template's ``think_open``.
        panel: the categories that could be cited.
        template: its ``think_close``, ``verdict_open`` and ``verdict_close`` cut the text.
        truncated: the text was cut by its budget; that counts only where no label was reached.

    """
    reasoning, closed, tail = text.partition(template.think_close)
    opener = template.verdict_open.strip().lstrip("\\")
    before, opened, boxed = tail.rpartition(opener)
    del before
    word = _LABEL.match(boxed)
    if not (closed and opened and word):
        return Reading(status="truncated" if truncated else "unparseable", clauses=cited_clauses(reasoning, panel))
    label = _LABELS[word["label"].lower()]
    inside, _, behind = boxed[word.end() :].partition(template.verdict_close)
    ids: tuple[str, ...] = ()
    if label == "unsafe":
        known = panel_ids(panel)
        places = (behind.replace(template.end, " "), inside, reasoning)
        ids = next(filter(None, (_named(_WORD.findall(place), known) for place in places)), ())
    return read(reasoning, Answer(label=label, ids=ids), panel, template)
