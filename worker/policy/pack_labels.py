"""Labelled rows beside a prose policy become golden cases. Pure.

A row is a JSON object on a line of its own, or a row of a CSV file with a head line. It has ``text`` and
``label``, or ``prompt`` and ``prompt_label`` with, where there is an answer, ``response`` and
``response_label``. A label is one of the policy's codes, or ``safe``, ``unsafe``, ``VALID``, ``INVALID``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import orjson

from worker.decoding import read_csv
from worker.errors import UsageError
from worker.policy.pack import Outline
from worker.records import GoldenCase, Label, Turn

_WORDS: Final[dict[str, Label]] = {"safe": "safe", "valid": "safe", "unsafe": "unsafe", "invalid": "unsafe"}
#: Rows of a pack's other policies are left out by this column.
_POLICY: Final = "policy"


def golden_cases(raw: bytes, seen: Outline, stem: str) -> tuple[GoldenCase, ...]:
    """Return the golden cases of a labels file.

    Args:
        raw: JSON Lines or CSV, UTF-8.
        seen: what the policy declares.
        stem: the policy's name; rows whose column ``policy`` has another one are left out.

    Raises:
        UsageError: a row that cannot be read, or a label that the policy does not declare.

    """
    reader = _Reader(seen)
    cases: list[GoldenCase] = []
    for number, row in _rows(raw):
        if row.get(_POLICY, stem) == stem:
            cases += reader.cases(number, row)
    return tuple(cases)


class _Reader:
    """Turns rows into cases; knows the policy's codes."""

    def __init__(self, seen: Outline) -> None:
        self._allowed: Collection[str] = {one.code for one in seen.codes if one.allowed}
        self._codes: Collection[str] = {one.code for one in seen.codes}

    def cases(self, number: int, row: Mapping[str, Any]) -> Iterator[GoldenCase]:
        """Yield the case of a text, or those of a prompt and its answer."""
        if "text" in row:
            yield self._case(number, row, "text", "label")
            return
        yield self._case(number, row, "prompt", "prompt_label")
        if row.get("response") and row.get("response_label"):
            answer = self._case(number, row, "response", "response_label")
            asked = Turn(role="user", text=str(row["prompt"]))
            yield GoldenCase(
                text=answer.text, label=answer.label, categories=answer.categories, role="agent", context=(asked,)
            )

    def _case(self, number: int, row: Mapping[str, Any], text: str, label: str) -> GoldenCase:
        said = row.get(label)
        if not isinstance(row.get(text), str) or not isinstance(said, str):
            wrong = f"row {number} of the labels lacks '{text}' or '{label}'; each row needs both, as text"
            raise UsageError(wrong)
        verdict, categories = self._meaning(number, label, said.strip())
        return GoldenCase(text=row[text], label=verdict, categories=categories)

    def _meaning(self, number: int, field: str, said: str) -> tuple[Label, tuple[str, ...]]:
        if said in self._codes:
            return ("safe", ()) if said in self._allowed else ("unsafe", (said,))
        if said.casefold() in _WORDS:
            return _WORDS[said.casefold()], ()
        known = ", ".join(sorted(self._codes)) or "none"
        wrong = f"'{field}' in row {number} of the labels is no code of the policy; it declares {known}"
        raise UsageError(wrong)


def _rows(raw: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        wrong = "the labels are not UTF-8; save the file in that encoding"
        raise UsageError(wrong) from None
    if text.lstrip().startswith("{"):
        return _json_rows(text)
    return _csv_rows(text)


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from enumerate(read_csv(text), 1)
    except ValueError:
        wrong = "the labels are no CSV; give JSON Lines, or CSV with a head line and fields below 128 KiB"
        raise UsageError(wrong) from None


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines(): a text may hold other signs that it takes for a line's end.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            wrong = f"line {number} of the labels is no JSON object; give JSON Lines or CSV with a head line"
            raise UsageError(wrong)
        yield number, row
