"""Prose policies in and out: the Markdown and text that reasoning classifiers take whole. Pure.

The prose is kept word for word in ``text``. Beside it stand the categories that it declares: a code such as
``SP2`` at the end of a heading, in the shape of the packs for gpt-oss-safeguard
(https://github.com/roostorg/model-community). A code that ends in the number 0 means "allowed" there and
becomes no category. Severity, threshold and action are nowhere in such prose, so none is made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import UNSET, Struct

from worker.errors import PolicyInvalid
from worker.policy.accept import MAX_NAME_CHARS, MAX_SENTENCE_CHARS, MAX_TEXT_CHARS
from worker.records import Category, Clause, GoldenCase, Policy, sha256_hex

_CODE: Final = r"[A-Z][A-Z0-9]{0,11}?-?\d{1,3}"
#: ``Likely spam (SP2 - medium confidence)``, after any marks of Markdown or pictures; text may stand in front.
_HEADING: Final = re.compile(
    rf"^[^\w\n]*(?P<name>\w[^\n]{{0,150}}?)\s*\((?P<code>{_CODE})(?:\s*[-\u2013\u2014:]\s*[^()\n]*)?\)\s*[:.]?$"
)
#: ``- `SP2`: unasked advertising``, as in a list of labels.
_LISTED: Final = re.compile(rf"^\s*(?:[-*]\s+)?`?(?P<code>{_CODE})`?\s*[:\u2013\u2014-]\s+(?P<name>\S.*?)\s*$")
#: ``SP2.a Cold promotion - "..."``; what follows colon or dash is an example.
_RULE: Final = re.compile(
    rf"^\s*(?:[-*]\s+)?`?(?P<code>{_CODE})\.(?P<rule>[A-Za-z0-9]{{1,8}})`?[:.]?\s+"
    r"(?P<text>\S.*?)(?:\s*:\s.*|\s+[-\u2013\u2014]\s.*)?\s*$"
)
_TITLE: Final = re.compile(r"^[^\w\n]*(?P<title>\w.*?)\s*(?:\(#\w+\))?\s*$")
_FAMILY: Final = re.compile(r"\(#(?P<family>[A-Z][A-Z0-9]*)\)")
_ALLOWED: Final = re.compile(r"\D0+$")
_HEAD_LINE: Final = re.compile(r"^#{1,6}\s")
#: A line that only leads to a list.
_LEAD: Final = re.compile(r"^[\w ]{1,40}:$")


class Declared(Struct, frozen=True, kw_only=True):
    """One code that a prose policy declares, with its place (line from 1)."""

    code: str
    name: str
    definition: str
    rules: tuple[Clause, ...]
    line: int

    @property
    def allowed(self) -> bool:
        """Whether the code says that a text is fine: its number is 0."""
        return bool(_ALLOWED.search(self.code))


class Outline(Struct, frozen=True, kw_only=True):
    """What a prose policy declares: its title and its codes in their order."""

    title: str
    codes: tuple[Declared, ...]


def outline(text: str, fallback_title: str = "Imported policy") -> Outline:
    """Read title and codes out of a prose policy; the text itself is left alone."""
    # Runs of spaces would make the patterns slow, and no heading or rule is longer than a sentence.
    lines = [" ".join(line.split())[:MAX_SENTENCE_CHARS] for line in text.splitlines()]
    first = next((line for line in lines if line.strip("\ufeff")), "")
    title = _TITLE.match(first)
    named = _FAMILY.search(first)
    found = {code: at for code, at in _headings(lines) if named is None or code.startswith(named["family"])}
    codes = [_declared(lines, code, at) for code, at in found.items()] or list(_listed(lines))
    return Outline(title=_line(title["title"] if title else fallback_title), codes=tuple(codes))


def import_prose(raw: bytes, name: str, cases: tuple[GoldenCase, ...] = ()) -> Policy:
    """Turn a prose policy into a policy record of version 1.

    Args:
        raw: the file, UTF-8; it comes back byte for byte from ``export_prose``.
        name: what the file is called, for the record's ``reason``.
        cases: golden cases for it.

    Raises:
        PolicyInvalid: it is no text, is empty, or is too long for a record.

    """
    text = _text(raw)
    seen = outline(text, fallback_title=name)
    return Policy(
        title=seen.title,
        version=1,
        categories=tuple(_category(one) for one in seen.codes if not one.allowed),
        text=text,
        golden=cases or UNSET,
        reason=f"Imported from {name}, SHA-256 {sha256_hex(raw)}.",
    )


def export_prose(policy: Policy) -> bytes:
    """Return a policy's prose byte for byte; where it has none, its categories written out as prose."""
    return (policy.text or write_prose(policy)).encode()


def write_prose(policy: Policy) -> str:
    """Write categories as Markdown in the shape that ``outline`` reads."""
    parts = [f"# {policy.title}\n\nJudge each text by the sections below. A text that meets none of them is safe."]
    parts += [_section(category) for category in policy.categories]
    return "\n\n".join(parts) + "\n"


def _section(category: Category) -> str:
    lines = [f"## {category.name or category.id} ({category.id})", ""]
    if category.definition:
        lines += [category.definition, ""]
    if category.violates:
        lines += ["Violates:", "", *(f"- {category.id}.{clause.id} {clause.text}" for clause in category.violates), ""]
    if category.allowed:
        # Without the code in front: a reader of such prose takes each line with the code for a violation.
        lines += ["Allowed:", "", *(f"- {clause.text}" for clause in category.allowed), ""]
    return "\n".join(lines).rstrip()


def _text(raw: bytes) -> str:
    field = "text"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        expected = "UTF-8; save the file in that encoding"
        raise PolicyInvalid(field, expected) from None
    if not text.strip() or len(text) > MAX_TEXT_CHARS:
        expected = f"1 to {MAX_TEXT_CHARS} characters of prose"
        raise PolicyInvalid(field, expected)
    return text


def _headings(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield each code and the line (from 0) whose heading declares it first."""
    seen: set[str] = set()
    for at, line in enumerate(lines):
        match = _HEADING.match(line)
        if match and match["code"] not in seen and not _RULE.match(line):
            seen.add(match["code"])
            yield match["code"], at


def _declared(lines: list[str], code: str, at: int) -> Declared:
    match = _HEADING.match(lines[at])
    assert match is not None
    return Declared(
        code=code, name=_line(match["name"]), definition=_definition(lines, at), rules=_rules(lines, code), line=at + 1
    )


def _definition(lines: list[str], at: int) -> str:
    """Return the sentences right below a heading: up to an empty line, a list or the next heading."""
    taken: list[str] = []
    for line in lines[at + 1 :]:
        if not line and not taken:
            continue
        if not line or _HEAD_LINE.match(line) or _RULE.match(line) or _LEAD.match(line):
            break
        taken.append(line)
    return " ".join(taken)[:MAX_SENTENCE_CHARS]


def _rules(lines: Iterable[str], code: str) -> tuple[Clause, ...]:
    found: dict[str, str] = {}
    for line in lines:
        match = _RULE.match(line)
        if match and match["code"] == code:
            found.setdefault(match["rule"], match["text"][:MAX_SENTENCE_CHARS])
    return tuple(Clause(id=rule, text=text) for rule, text in found.items())


def _listed(lines: list[str]) -> Iterator[Declared]:
    """Yield the codes of a list of labels, for prose whose headings declare none."""
    seen: set[str] = set()
    for at, line in enumerate(lines):
        match = _LISTED.match(line)
        if match and match["code"] not in seen:
            seen.add(match["code"])
            rules = _rules(lines, match["code"])
            yield Declared(code=match["code"], name=_line(match["name"]), definition="", rules=rules, line=at + 1)


def _category(one: Declared) -> Category:
    return Category(id=one.code, name=one.name, definition=one.definition or UNSET, violates=one.rules or UNSET)


def _line(text: str) -> str:
    return " ".join(text.replace("*", "").split())[:MAX_NAME_CHARS]
