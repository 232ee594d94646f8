"""What the model may write after the verdict's opening, as a grammar made from the policy. Pure.

    safe}
    unsafe} U7, U15

After ``unsafe`` stand ids of the panel's categories: at least one, each at most once, in the policy's
order. A panel without categories knows ``unsafe}`` alone. The language is regular, and
``parse.parse_answer`` reads exactly it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

#: Between two ids.
SEPARATOR: Final = ", "
#: Between the label's end and the first id.
LEAD: Final = " "


def answer_grammar(ids: Sequence[str], close: str) -> str:
    """Return the EBNF of label and ids.

    Args:
        ids: category ids, distinct, in the policy's order.
        close: what follows the label.

    """
    safe, unsafe = _quoted("safe" + close), _quoted("unsafe" + close)
    if not ids:
        return f"root ::= {safe} | {unsafe}"
    return "\n".join((f"root ::= {safe} | {unsafe} {_quoted(LEAD)} ids0", *_rules(ids)))


def ids_grammar(ids: Sequence[str]) -> str:
    """Return the EBNF of the ids alone, where ``unsafe`` and its close are given.

    Raises:
        ValueError: there are no ids to ask for.

    """
    if not ids:
        text = "a panel without categories has no ids to ask for"
        raise ValueError(text)
    return "\n".join((f"root ::= {_quoted(LEAD)} ids0", *_rules(ids)))


def longest_answer_bytes(ids: Sequence[str], close: str) -> int:
    """Return the length of the longest answer, in bytes; no answer has more tokens than that."""
    return len(f"unsafe{close}{ids_text(ids)}".encode())


def ids_text(ids: Sequence[str]) -> str:
    """Return what follows the label ``unsafe`` where these ids are cited."""
    return LEAD + SEPARATOR.join(ids) if ids else ""


def _rules(ids: Sequence[str]) -> list[str]:
    """Return one rule per id: it and some later ones, or later ones without it."""
    last = len(ids) - 1
    rules = [
        f"ids{place} ::= {_quoted(name)} ({_quoted(SEPARATOR)} ids{place + 1})? | ids{place + 1}"
        for place, name in enumerate(ids[:last])
    ]
    return [*rules, f"ids{last} ::= {_quoted(ids[last])}"]


def _quoted(text: str) -> str:
    """Quote for EBNF, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
