"""The end of the demonstration: reasoning, changed verdicts, the numbers, and what to try next."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from worker.config import Settings
from worker.demo.outcomes import Outcomes
from worker.demo.summary import Changed, Pass, Summary, changes, differs
from worker.demo.view import View
from worker.records import Verdict
from worker.show import policy_version, visible

_TRACES_SHOWN: Final = 3
_CHANGES_SHOWN: Final = 5
_REASONING_CELLS: Final = 400
_TEXT_CELLS: Final = 70
_DIGEST_CHARS: Final = 12

#: Commands that work in a fresh checkout.
NEXT: Final = (
    (
        "rsafe judge 'you are such an idiot' --policy worker/demo/policies/northbridge.json",
        "one message, one verdict, no Kafka",
    ),
    ("rsafe demo --keep", "the same again, left running; it says where"),
    ("rsafe broker --port 9092 --data-dir build/kafka & rsafe run", "a worker of your own"),
)


def traces(view: View, outcomes: Outcomes, passes: tuple[Pass, Pass]) -> None:
    """Show the reasoning behind a few verdicts, unsafe ones of different tenants first."""
    chosen: dict[str, tuple[str, Verdict]] = {}
    for place, sample in (item for one in passes for item in one.samples.items()):
        verdict = outcomes.verdicts.get(place)
        if verdict and verdict.label == "unsafe" and verdict.trace_id in outcomes.traces:
            chosen.setdefault(verdict.tenant_id, (sample.message.text, verdict))
    view.say("\nReasoning traces (they stay inside the platform):")
    for text, verdict in list(chosen.values())[:_TRACES_SHOWN]:
        trace = outcomes.traces[verdict.trace_id or ""]
        view.say(f"  {verdict.tenant_id}: {visible(text, _TEXT_CELLS)}")
        view.say(f"    {visible(trace.reasoning or '(no prose is kept)', _REASONING_CELLS)}")
        view.say(f"    so: {_said(verdict)}")
    if not chosen:
        view.say("  none: no message was judged unsafe")


def changed(view: View, outcomes: Outcomes, passes: tuple[Pass, Pass]) -> None:
    """Show a few texts whose verdict is another one under the new policy."""
    pairs = sorted(filter(differs, changes(outcomes.verdicts, passes)), key=_says_less)
    view.say(f"\nThe same text under the old and the new policy ({len(pairs)} verdicts changed):")
    for pair in pairs[:_CHANGES_SHOWN]:
        view.say(f"  {visible(pair.text, _TEXT_CELLS)}")
        view.say(f"    before: {_said(pair.before)}    after: {_said(pair.after)}")


def _says_less(pair: Changed) -> bool:
    """Put pairs last in which one side was not judged."""
    return pair.before.label is None or pair.after.label is None


def _said(verdict: Verdict) -> str:
    hits = " ".join(dict.fromkeys(item.id for item in verdict.categories if item.hit))
    words = (verdict.label or verdict.status, hits, f"-> {verdict.action}", f"({policy_version(verdict.policy)})")
    return " ".join(word for word in words if word)


def numbers(view: View, summary: Summary) -> None:
    """Show the summary as a table of two columns."""
    table = Table.grid(padding=(0, 2))
    for name, value in _lines(summary):
        table.add_row(Text(name), Text(value))
    view.say("\nSummary")
    view.show(table)


def _lines(summary: Summary) -> list[tuple[str, str]]:
    change = summary.change
    return [
        ("messages", str(summary.messages)),
        ("verdicts", f"{summary.verdicts} ({_counts(summary.by_status)})"),
        ("labels", _counts(summary.by_label)),
        ("dead letters", str(summary.dead_letters)),
        ("lost", str(summary.lost)),
        ("doubled", str(summary.doubled)),
        ("messages per second", f"{summary.messages_per_s:.1f}"),
        ("prompt tokens from cache", f"{summary.cached_share:.0%}"),
        *((f"agreement, {name}", f"{found.agree} of {found.of}") for name, found in summary.agreement.items()),
        ("policy digest", f"{_short(change.digest_before)} -> {_short(change.digest_after)}"),
        ("policy in force after", _seconds(change.in_force_s)),
        ("first verdict under it after", _seconds(change.first_verdict_s)),
        ("verdicts changed by it", f"{change.changed} of {change.compared}"),
        ("engine", f"{summary.engine} ({summary.model})"),
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _short(digest: str | None) -> str:
    return digest[:_DIGEST_CHARS] if digest else "none"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def kept(view: View, settings: Settings) -> None:
    """Say where everything runs."""
    view.say(f"\nStill running, until Ctrl-C: Kafka on {settings.bootstrap_servers}, the worker's pages on")
    view.say(f"http://{settings.web_host}:{settings.web_port}/metrics. In another terminal, for example:")
    view.say(
        f"  export RSAFE_BOOTSTRAP_SERVERS={settings.bootstrap_servers} RSAFE_TOPIC_PREFIX={settings.topic_prefix}"
    )
    view.say("  rsafe send --wait worker/demo/messages.jsonl")


def what_next(view: View) -> None:
    """Name a few commands to try."""
    activate = Path(sys.prefix, "bin", "activate")
    first = "" if shutil.which("rsafe") else f" (first: source {os.path.relpath(activate)})"
    view.say(f"\nWhat to try next{first}:")
    width = max(len(command) for command, _ in NEXT)
    for command, why in NEXT:
        view.say(f"  {command:<{width}}  # {why}")
