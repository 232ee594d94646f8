"""What ``rsafe audit`` finds, for people. Nothing in a record is read as markup or moves the cursor."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from worker.audit.explain.exceptions import ExceptionStory
from worker.audit.explain.explain import Explanation
from worker.audit.explain.policy import Deciding, PartStory
from worker.audit.verify.coverage import Fault
from worker.audit.verify.report import Report
from worker.records import Message
from worker.show import visible

#: Lines of a list that are shown; ``--json`` has more.
_SHOWN: Final = 20
_TEXT_CELLS: Final = 2000


def show_report(console: Console, report: Report) -> None:
    """Print a report: one line for each fault, the first ones of each list, and the sum."""
    lists = {
        "missing": report.missing,
        "doubled": report.doubled,
        "misplaced": report.misplaced,
        "altered": report.altered,
    }
    for name, lines in lists.items():
        for line in lines[:_SHOWN]:
            console.print(Text(f"{name:<9}  {_place(line)}  {line.reason}{_more(line)}", style="red"))
        hidden = report.counts[name] - min(len(lines), _SHOWN)
        if hidden:
            console.print(f"{name:<9}  and {hidden} more; see --json")
    for waiting in report.pending:
        text = f"pending    {waiting.topic}/{waiting.partition}  {waiting.count} from offset {waiting.offset} on"
        console.print(Text(text, style="yellow"))
    sums = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    sealed = "" if report.sealed is None else f", {report.sealed} as sealed"
    text = f"{report.checked} checked, {report.skipped} skipped{sealed}: {sums}"
    console.print(Text(text, style="green" if report.ok else "bold red"))


def _place(line: Fault) -> str:
    return f"{line.topic}/{line.partition}/{line.offset}"


def _more(line: Fault) -> str:
    source = f"; its source: {'/'.join(map(str, line.source))}" if line.source else ""
    places = ", ".join("/".join(map(str, place)) for place in line.outcomes)
    return source + (f"; beside the first: {places}" if places else "")


def show_explanation(console: Console, found: Explanation) -> None:
    """Print an explanation, part by part."""
    verdict = found.verdict
    score = "none" if verdict.score is None else f"{verdict.score:.4f} ({verdict.score_method})"
    _panel(
        console,
        f"verdict {verdict.verdict_id}",
        [
            f"{verdict.label or verdict.status}, action {verdict.action}, score {score}",
            f"at {_at(found.place.timestamp)} in {found.place.topic}/{found.place.partition}/{found.place.offset}",
            f"by {verdict.model.name}, fingerprint {verdict.model.fingerprint}",
            *(f"also: {one.topic}/{one.partition}/{one.offset}" for one in found.others),
        ],
    )
    _panel(console, "message", [*_message(found.message.message), found.message.note])
    _panel(console, "why", _why(found.deciding) if found.deciding else [found.policy.note])
    for one in found.exceptions:
        _panel(console, f"exception {one.suppression.exception}", _exception(one))
    _panel(console, f"policy {found.policy.digest}", [*map(_part, found.policy.parts), found.policy.note])
    _show_prompt(console, found)
    _show_reasoning(console, found)


def _panel(console: Console, title: str, lines: Iterable[str | None]) -> None:
    body = Text("\n".join(line for line in lines if line))
    console.print(Panel(body, title=Text(visible(title, 100)), title_align="left"))


def _message(message: Message | None) -> list[str]:
    if message is None:
        return []
    turns = [f"{turn.role}: {_safe(turn.text)}" for turn in message.context]
    return [f"{message.tenant_id} {visible(message.message_id)}", *turns, f"{message.role}: {_safe(message.text)}"]


def _why(decided: Deciding) -> list[str]:
    lines = [_safe(decided.text)]
    for category in decided.categories:
        lines.append(_safe(f"{category.id} {category.name}: {category.definition}"))
        lines.append(f"  severity {category.severity}, threshold {category.threshold:g}, action {category.action}")
        lines += [_safe(f"  {clause.kind} {clause.id}: {clause.text}") for clause in category.clauses]
    if not decided.agrees:
        lines.append(f"THE VERDICT'S ACTION IS ANOTHER ONE: the policy gives {decided.action}")
    return lines


def _exception(story: ExceptionStory) -> list[str | None]:
    one, record = story.suppression, story.record
    took = ", ".join(one.categories) or "the default action or the review band"
    lines = [f"took back {took}", f"owner {one.owner}", f"digest {one.digest}"]
    if record is not None:
        lines += [f"reason: {record.reason}", f"put at {_at(story.from_ms)}, until {record.expires_at.isoformat()}"]
    return [*map(_safe, lines), story.note]


def _part(part: PartStory) -> str:
    span = f"from {part.decided_at or _at(None)}" + (f" to {part.replaced_at}" if part.replaced_at else ", still")
    word = {True: "in force", False: "NOT IN FORCE THEN", None: "not in the history"}[part.in_force]
    by = f"; accepted by {part.decided_by}" if part.decided_by else ""
    author = f"; written by {part.author}" if part.author else ""
    title = f" {part.title!r}" if part.title else ""
    return _safe(f"{part.scope} v{part.version}{title}: {word}, {span}{author}{by}")


def _show_prompt(console: Console, found: Explanation) -> None:
    prompt = found.prompt
    unknown = "built again in one of many ways" if prompt.rebuilt else "not built again"
    word = {True: "built again, digests agree", False: "BUILT AGAIN, DIGESTS DIFFER", None: unknown}
    lines = [f"{word[prompt.agrees]}: {prompt.digest}" if prompt.digest else None, prompt.note]
    _panel(console, "prompt", [*lines, *map(_lines, prompt.texts)])


def _show_reasoning(console: Console, found: Explanation) -> None:
    reasoning = found.reasoning
    trace = reasoning.trace
    text = _lines(trace.reasoning) if trace and trace.reasoning else None
    word = {True: None, False: "THE TEXT DOES NOT FIT ITS DIGEST", None: None}[reasoning.agrees]
    _panel(console, "reasoning", [text, word, reasoning.erased, reasoning.note])


def _at(time_ms: int | None) -> str:
    if time_ms is None:
        return "an unknown time"
    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(text: str) -> str:
    return visible(text, _TEXT_CELLS)


def _lines(text: str) -> str:
    return "\n".join(_safe(line) for line in text.split("\n"))
