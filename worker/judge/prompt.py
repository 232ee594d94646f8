"""The prompt of one call: policy first, message last. Pure; training and serving both use it.

A prompt is a list of segments. A ``Control`` is one token of the vocabulary, and only the template
can put it there; a ``Text`` is tokenised so that nothing in it can become such a token.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from worker.judge.placeholders import mask
from worker.judge.template import Control, Hole, Piece, Template
from worker.policy.model import EffectiveCategory, Panel
from worker.records import Message, Role

#: Everything that some reader takes for a line's end.
_LINE_END: Final = re.compile("\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029]")


class Text(Struct, frozen=True):
    """Plain text, whoever wrote it."""

    text: str


Segment = Control | Text


def policy_text(panel: Panel) -> str:
    """Write a panel's categories and prose as the lines that stand in the prompt."""
    lines = [line for category in panel.categories for line in _category_lines(category)]
    lines += [prose.text for prose in panel.prose]
    return "\n".join(lines)


def _category_lines(category: EffectiveCategory) -> list[str]:
    definition = f": {category.definition}" if category.definition else ""
    lines = [f"{category.id} {category.name}{definition}"]
    lines += [f"- violates {category.id}/{clause.id}: {clause.text}" for clause in category.violates]
    lines += [f"- allowed {category.id}/{clause.id}: {clause.text}" for clause in category.allowed]
    return lines


def quoted(text: str, quote: str) -> str:
    """Put ``quote`` before every line of a text, whatever ends its lines."""
    if not quote:
        return text
    return "\n".join(quote + line for line in _LINE_END.split(text))


def prefix(template: Template, panel: Panel, role: Role) -> list[Segment]:
    """Return the segments up to the conversation: equal for every message under one policy."""
    pieces = template.task(role)
    cut = next(i for i, piece in enumerate(pieces) if piece in _CONVERSATION)
    return _fill(pieces[:cut], {"policy": policy_text(panel)})


def conversation(template: Template, message: Message) -> list[Segment]:
    """Return the segments from the conversation to the task's end: equal under every policy."""
    pieces = template.task(message.role)
    cut = next(i for i, piece in enumerate(pieces) if piece in _CONVERSATION)
    segments: list[Segment] = []
    for piece in pieces[cut:]:
        segments += _turns(template, message, piece) if isinstance(piece, Hole) else _fill((piece,), {})
    return segments


def suffix(template: Template, message: Message, *, reasoning: bool) -> list[Segment]:
    """Return the segments from the conversation to where the model goes on writing."""
    return conversation(template, message) + opening(template, reasoning=reasoning)


def opening(template: Template, *, reasoning: bool) -> list[Segment]:
    """Return the segments that open the reasoning; without one it is empty and closed at once."""
    opened = _fill(template.pieces(template.think_open), {})
    return opened if reasoning else opened + verdict_opening(template)


def verdict_opening(template: Template) -> list[Segment]:
    """Return the segments that follow the reasoning and precede the label."""
    return _fill(template.pieces(template.think_close + template.verdict_open), {})


_CONVERSATION: Final = (Hole("context"), Hole("message"))


def _turns(template: Template, message: Message, hole: Hole) -> list[Segment]:
    if hole.name == "message":
        return _turn(template, message.role, message.text)
    return [segment for turn in message.context for segment in _turn(template, turn.role, turn.text)]


def _turn(template: Template, role: Role, text: str) -> list[Segment]:
    return _fill(template.turn(role), {"text": quoted(shown(template, text), template.quote)})


def shown(template: Template, text: str) -> str:
    """Return a text as the model sees it, but for what stands before its lines."""
    return mask(text)[0] if template.placeholders else text


def _fill(pieces: tuple[Piece, ...], values: dict[str, str]) -> list[Segment]:
    segments: list[Segment] = []
    for piece in pieces:
        if isinstance(piece, Control):
            segments.append(piece)
        else:
            segments.append(Text(values.get(piece.name, "") if isinstance(piece, Hole) else piece))
    return segments
