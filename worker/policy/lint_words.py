"""Words in a policy that judge badly: vague ones, markers of prompts, and prose against the floor. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from worker.policy.finding import Finding, warning
from worker.policy.scope import Scope
from worker.records import Policy

_SEEN: Final = "say what a reader would see"
_WHOLE: Final = "name each case, or end the list"
_WHEN: Final = "say when it holds and when it does not"
_WHO: Final = "name who decides, and by what"
#: Words that two readers understand in two ways, and what to write instead. Reviewed by hand; a word is
#: here only if leaving it out or replacing it made each of our own policies clearer.
VAGUE: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "inappropriate",
            "improper",
            "unacceptable",
            "objectionable",
            "problematic",
            "undesirable",
            "harmful",
            "toxic",
            "bad",
            "nasty",
            "sensitive",
            "questionable",
            "distasteful",
            "offensive",
            "unsuitable",
            "low-value",
            "low quality",
        ),
        _SEEN,
    ),
    **dict.fromkeys(("etc", "and so on", "and the like", "things like", "such stuff", "some kind of"), _WHOLE),
    **dict.fromkeys(
        ("in general", "generally", "usually", "normally", "often", "sometimes", "too much", "excessive"), _WHEN
    ),
    **dict.fromkeys(("as needed", "common sense", "reasonable", "where appropriate", "if possible"), _WHO),
}
_VAGUE: Final = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, VAGUE))})(?![\w-])", re.IGNORECASE)
#: What a prompt uses to separate its parts, and what an answer ends with.
_FENCE: Final = re.compile(
    r"<\|[^|\n]{1,40}\|>|</?think>|\\boxed\s*\{|\[/?INST\]|<</?SYS>>|</?s>|<(?:BEGIN|END) \w+|^#{3,}\s"
    r"|\b(?:BEGIN|END) OF (?:POLICY|CONVERSATION)\b|\{(?:policy|context|message|text)\}",
    re.MULTILINE,
)
#: What a reader does not see: zero-width and bidi characters, and controls but tab and line end.
_HIDDEN: Final = frozenset({"Cf", "Cc", "Zl", "Zp"})
_ORDINARY: Final = frozenset("\n\r\t\ufeff")
#: Part of pictures that are one sign to a reader: joiner and variation.
_JOINERS: Final = frozenset("\u200d\ufe0f")
_LINE_END: Final = re.compile("[\n\r\x0b\x0c\x85\u2028\u2029]")

_OTHERS: Final = r"(?:all|any|every|other|previous|prior|above|earlier|platform|floor|default|global|its|the)"
_RULES: Final = r"(?:rules?|polic(?:y|ies)|instructions?|categor(?:y|ies)|guidelines?|floor|platform(?:'s)?)"
#: Prose that would talk a model out of the platform's categories, if it stood in the same prompt.
_LOOSENING: Final = re.compile(
    rf"\b(?:ignore|disregard|override|overrule|overrides|bypass|skip|forget|disable|suspend|replaces?)\s+"
    rf"(?:{_OTHERS}\s+){{1,3}}(?:\w+\s+)?{_RULES}\b"
    rf"|\b(?:takes?\s+precedence|wins?|prevails?)\s+over\s+(?:{_OTHERS}\s+){{0,3}}{_RULES}\b"
    rf"|\b(?:instead\s+of|regardless\s+of|whatever)\s+(?:{_OTHERS}\s+){{1,3}}{_RULES}\b"
    r"|\b(?:is|are|as|be|counts?\s+as|answer|say|output|label(?:led)?|write)\s+always\s+(?:safe|allowed|fine|valid)\b"
    r"|\balways\s+(?:(?:answer|say|output|return|label|reply|judge|treat)\b[^.\n]{0,40})?\b(?:safe|allowed|valid)\b"
    r"|\bnever\s+(?:(?:answer|say|output|return|label|flag|judge)\b[^.\n]{0,40})?\b(?:unsafe|invalid|a\s+violation)\b"
    r"|\beverything\s+(?:here\s+)?(?:else\s+)?is\s+(?:safe|allowed|fine|permitted)\b"
    rf"|\b(?:U\d{{1,2}}|{_RULES})\s+do(?:es)?\s+not\s+apply\b"
    r"|\b(?:you\s+are\s+now|from\s+now\s+on|new\s+instructions)\b",
    re.IGNORECASE,
)


def wording(policy: Policy, scope: Scope, floor: Policy | None = None) -> Iterator[Finding]:
    """Yield what is wrong with a policy's words, each with its place."""
    for path, text in sentences(policy):
        yield from _vague(path, text)
        marker = _FENCE.search(text)
        if marker:
            what = f"looks like a marker of a prompt or of a verdict{_place(path, text, marker.start())}"
            yield warning(path, what, "it is read as plain text; write it in words")
        hidden = _hidden(text)
        if hidden is not None:
            sign = unicodedata.name(text[hidden], "control")
            what = f"a character that nobody sees ({sign}){_place(path, text, hidden)}"
            yield warning(path, what, "take it out, or write the word anew")
        if path != "text" and _LINE_END.search(text):
            yield warning(path, "a line end inside a sentence", "write it as one line, as it stands in the prompt")
        if not scope.is_floor:
            yield from _loosening(path, text, joined=policy.floor_mode == "joined")
            yield from _of_the_floor(path, text, floor)


def sentences(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the path and text of everything in a policy that stands in a prompt."""
    yield "text", policy.text or ""
    for index, category in enumerate(policy.categories):
        path = f"categories[{index}]"
        yield f"{path}.name", category.name or ""
        yield f"{path}.definition", category.definition or ""
        for name, clauses in (("violates", category.violates or ()), ("allowed", category.allowed or ())):
            for at, clause in enumerate(clauses):
                yield f"{path}.{name}[{at}].text", clause.text


def _vague(path: str, text: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for match in _VAGUE.finditer(text):
        word = match[0].casefold()
        if word not in seen:
            seen.add(word)
            yield warning(path, f"vague word '{match[0]}'{_place(path, text, match.start())}", VAGUE[word])


def _hidden(text: str) -> int | None:
    """Return the place of the first character that does not show, joiners inside pictures apart."""
    for at, sign in enumerate(text):
        if sign in _ORDINARY or unicodedata.category(sign) not in _HIDDEN:
            continue
        joins = sign in _JOINERS and at > 0 and not text[at - 1].isalnum() and not text[at - 1].isspace()
        if not joins:
            return at
    return None


def _loosening(path: str, text: str, *, joined: bool) -> Iterator[Finding]:
    match = _LOOSENING.search(text)
    if match is None:
        return
    what = f"reads like an order to loosen the platform's floor{_place(path, text, match.start())}"
    if joined:
        yield warning(path, what, "take it out; under floor_mode 'joined' it stands in the floor's own prompt")
    else:
        yield warning(path, what, "take it out; floor_mode 'separate' judges the floor apart, so it has no effect")


def _of_the_floor(path: str, text: str, floor: Policy | None) -> Iterator[Finding]:
    """Name prose that speaks of the floor's categories; only ids that no ordinary word looks like."""
    ids = [item.id for item in floor.categories if any(sign.isdigit() for sign in item.id)] if floor else []
    match = re.search(rf"(?<![\w-])(?:{'|'.join(map(re.escape, ids))})(?![\w-])", text) if ids else None
    if match:
        what = f"speaks of the floor's category {match[0]}{_place(path, text, match.start())}"
        yield warning(path, what, "it has no say there; tighten it by a category with that id alone")


def _place(path: str, text: str, at: int) -> str:
    """Say in which line of a long text a place is; a sentence needs no more than its path."""
    return f" in line {text.count(chr(10), 0, at) + 1}" if path == "text" else ""
