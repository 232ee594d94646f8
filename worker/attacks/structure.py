"""The proof that a text stays where the template puts it, read off the token ids of a whole prompt. Pure.

The expected shape of a prompt is made here from the template alone, by other means than the serving
code's: control tokens and literal texts in their order, with holes between. A prompt passes if

* its ids are exactly those pieces with something in each hole,
* what is in a hole holds no added token of the vocabulary, special or not, and reads as the text that was
  written, each line behind the template's quote;
* everything outside the holes is the same, id by id and as text, as in the prompt of a harmless message
  under a harmless policy;
* and the verdict stays the model's, also where its reasoning repeats the message.

Then no control token stands anywhere that the template did not put it, and nothing can end its own fence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from worker.attacks.cases import Case
from worker.judge import prompt
from worker.judge.parse import Answer, panel_ids, read
from worker.judge.placeholders import mask
from worker.judge.template import Control, Hole, Piece, Template
from worker.judge.tokens import Tokens
from worker.policy.model import Panel
from worker.records import Message

_HARMLESS: Final = "hello"


class Escape(Struct, frozen=True, kw_only=True):
    """A text that left its place: which case, and what gave it away."""

    case: str
    what: str


class _Place(Struct, frozen=True):
    """One piece of a prompt with its ids; ``filled`` where the text is not the template's."""

    ids: tuple[int, ...]
    filled: bool


def prompt_ids(tokens: Tokens, template: Template, panel: Panel, message: Message, *, reasoning: bool) -> list[int]:
    """Build a prompt as serving does."""
    before = prompt.prefix(template, panel, message.role)
    return tokens.encode(before + prompt.suffix(template, message, reasoning=reasoning))


def escapes(tokens: Tokens, template: Template, panel: Panel, cases: Iterable[Case]) -> list[Escape]:
    """Return every escape of some cases under a panel, with and without reasoning; none is what is wanted."""
    return [
        Escape(case=case.id, what=what)
        for case in cases
        for reasoning in (True, False)
        for what in faults(tokens, template, panel, case.message, reasoning=reasoning)
    ]


def faults(tokens: Tokens, template: Template, panel: Panel, message: Message, *, reasoning: bool) -> list[str]:
    """Say in words what is wrong with the prompt of one message under one panel; empty if nothing is."""
    skeleton = _skeleton(template, message, reasoning=reasoning)
    fills = _fills(template, panel, message)
    places = _places(tokens, skeleton, fills)
    ids = prompt_ids(tokens, template, panel, message, reasoning=reasoning)
    if _joined(places) != ids:
        return ["the prompt is not the template's pieces with the texts in its holes"]
    calm = _places(tokens, skeleton, [_HARMLESS] * len(fills))
    return [
        *_added(tokens, places, ids),
        *_moved(tokens, ids, places, _joined(calm), calm),
        *_unread(tokens, template, places, fills),
        *_overruled(template, panel, message),
    ]


def _skeleton(template: Template, message: Message, *, reasoning: bool) -> list[Piece]:
    """Return the pieces of a whole prompt, with a hole for the policy and one for each turn."""
    pieces: list[Piece] = []
    for piece in template.task(message.role):
        if piece == Hole("context"):
            pieces += [part for turn in message.context for part in template.turn(turn.role)]
        elif piece == Hole("message"):
            pieces += template.turn(message.role)
        else:
            pieces.append(piece)
    pieces += template.pieces(template.think_open)
    return pieces if reasoning else [*pieces, *template.pieces(template.think_close + template.verdict_open)]


def _fills(template: Template, panel: Panel, message: Message) -> list[str]:
    """Return what stands in the holes, in their order."""
    texts = [*(turn.text for turn in message.context), message.text]
    shown = [mask(text)[0] if template.placeholders else text for text in texts]
    return [prompt.policy_text(panel), *(prompt.quoted(text, template.quote) for text in shown)]


def _places(tokens: Tokens, skeleton: Sequence[Piece], fills: Sequence[str]) -> list[_Place]:
    waiting = iter(fills)
    return [_place(tokens, piece, waiting) for piece in skeleton]


def _place(tokens: Tokens, piece: Piece, waiting: Iterator[str]) -> _Place:
    if isinstance(piece, Control):
        return _Place((tokens.control_ids[piece.token],), filled=False)
    if isinstance(piece, Hole):
        return _Place(tokens.text_ids(next(waiting)), filled=True)
    return _Place(tokens.text_ids(piece), filled=False)


def _joined(places: Iterable[_Place]) -> list[int]:
    return [one for place in places for one in place.ids]


def _added(tokens: Tokens, places: Sequence[_Place], ids: Sequence[int]) -> list[str]:
    """Check that added tokens stand where the template has its controls, and nowhere else."""
    wanted = [at for at, place in _starts(places) if not place.filled and place.ids[0] in tokens.control_ids.values()]
    found = [at for at, one in enumerate(ids) if one in tokens.added_ids]
    return [] if found == wanted else [f"added tokens at {found} and not at {wanted}"]


def _moved(
    tokens: Tokens, ids: Sequence[int], places: Sequence[_Place], calm_ids: Sequence[int], calm: Sequence[_Place]
) -> list[str]:
    """Compare what is outside the holes with a harmless prompt, id by id and as text."""
    own, theirs = _outside(ids, places), _outside(calm_ids, calm)
    if own != theirs or [tokens.decode(part) for part in own] != [tokens.decode(part) for part in theirs]:
        return ["outside its holes the prompt is not that of a harmless message"]
    return []


def _outside(ids: Sequence[int], places: Sequence[_Place]) -> list[list[int]]:
    return [list(ids[at : at + len(place.ids)]) for at, place in _starts(places) if not place.filled]


def _starts(places: Iterable[_Place]) -> Iterator[tuple[int, _Place]]:
    """Yield each piece with the position of its first id."""
    at = 0
    for place in places:
        yield at, place
        at += len(place.ids)


def _unread(tokens: Tokens, template: Template, places: Sequence[_Place], fills: Sequence[str]) -> list[str]:
    """Check that each hole reads as what was written, and that every line of a turn is quoted."""
    problems = []
    filled = [tokens.decode(place.ids) for place in places if place.filled]
    for place, (shown, wanted) in enumerate(zip(filled, fills, strict=True)):
        if shown not in {wanted, unicodedata.normalize("NFC", wanted)}:
            problems.append(f"hole {place} does not read as what was written")
        if place and not all(line.startswith(template.quote) for line in shown.splitlines()):
            problems.append(f"a line in hole {place} is not quoted")
    return problems


def _overruled(template: Template, panel: Panel, message: Message) -> list[str]:
    """Check that the model's word stands, even if it repeats the whole message as its reasoning."""
    answer = Answer(label="unsafe", ids=panel_ids(panel)[:1])
    repeated = read(message.text, answer, panel, template)
    if repeated.model_label != "unsafe" or repeated.status not in {"judged", "contradictory"}:
        return ["a repeated message changed the model's word"]
    return []
