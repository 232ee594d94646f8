"""``rsafe policy compare`` and ``promote``: what a policy under rehearsal would change, and putting it in force."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from worker.audit.comparison import Cell, Example
from worker.audit.intervals import Interval
from worker.audit.rehearsal import read as reading
from worker.audit.rehearsal.read import Promotion
from worker.audit.rehearsal.rehearsal import MIN_SAMPLE, CategoryChange, Gates, RehearsalReport, Side
from worker.commands import options
from worker.commands.common import tell, time_ms
from worker.commands.options import settings_from
from worker.policy.lifecycle import DECISION_WAIT_S, Published
from worker.show import visible

_DIGEST_CHARS: Final = 12
_ID_CELLS: Final = 28
#: Rows of each list; the rest is in --json.
_MOST_ROWS: Final = 12

ScopeArg = Annotated[str, typer.Argument(metavar="SCOPE", help="The live scope: platform, TENANT or TENANT/CHANNEL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="T", help="Outcomes from T on: RFC 3339, milliseconds, or -1h; since it was put."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Wait until the sample is that large, then promote or hold.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and publish nothing.")]
FlagRate = Annotated[
    float | None,
    typer.Option("--max-flag-rate", min=0, max=1, help="Largest share of unsafe verdicts that it may have."),
]
Disagreement = Annotated[
    float | None,
    typer.Option(
        "--max-disagreement", min=0, max=1, help="Largest share of other labels, actions or statuses that it may give."
    ),
]


def compare_command(
    scope: ScopeArg,
    as_json: Json = False,  # noqa: FBT002
    since: From = None,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show what a scope's #shadow policy would change: its verdicts against the live ones of the same messages."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    report = asyncio.run(reading.compare(settings, scope, time_ms(since)))
    tell(report, report_lines(report), as_json=as_json)


def promote_command(
    scope: ScopeArg,
    max_flag_rate: FlagRate = None,
    max_disagreement: Disagreement = None,
    min_sample: Annotated[
        int, typer.Option("--min-sample", min=1, help="Messages that must have been compared.")
    ] = MIN_SAMPLE,
    watch: Watch = False,  # noqa: FBT002
    dry_run: DryRun = False,  # noqa: FBT002
    as_json: Json = False,  # noqa: FBT002
    since: From = None,
    wait: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for a worker's decision.")
    ] = DECISION_WAIT_S,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Put a scope's #shadow policy in force if every gate holds, and end its rehearsal; else say why not, exit 1.

    A gate looks at the upper end of the 95 % interval: the larger the sample, the closer to the limit it may be.
    """
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    gates = Gates(min_sample=min_sample, max_flag_rate=max_flag_rate, max_disagreement=max_disagreement)
    promotion = asyncio.run(
        reading.promote(settings, scope, gates, from_ms=time_ms(since), watch=watch, dry_run=dry_run, wait_s=wait)
    )
    tell(promotion, promotion_lines(promotion), as_json=as_json)
    published = promotion.published
    if promotion.obstacles or (published is not None and published.decision == "refused"):
        raise typer.Exit(1)


def report_lines(report: RehearsalReport) -> list[str]:
    """Return a comparison for a terminal."""
    lines = [
        f"{report.scope}: {_side(report.shadow)} under rehearsal against {_side(report.live)} live",
        f"sample: {report.sample} messages, {report.judged} judged by both; left out: {_left_out(report)}",
        f"flag rate: {_percent(report.flag_rate_shadow)} under rehearsal, {_percent(report.flag_rate_live)} live",
        f"flips: {_percent(report.flips)}; disagreement: {_percent(report.disagreement)}",
        *_ids("  for example", report.disagreement_examples),
        f"labels:  {_cells(report.labels)}",
        f"actions: {_cells(report.actions)}",
    ]
    for change in report.categories[:_MOST_ROWS]:
        lines += _category_lines(change)
    return [visible(line, 400) for line in lines]


def promotion_lines(promotion: Promotion) -> list[str]:
    """Return what became of a promotion, under its comparison."""
    scope = promotion.report.scope
    lines = report_lines(promotion.report)
    if promotion.obstacles:
        return [*lines, *(f"held: {obstacle}" for obstacle in promotion.obstacles)]
    published = promotion.published
    if published is None:
        return [*lines, f"every gate holds; without --dry-run {scope} would be promoted"]
    return [*lines, _published_line(scope, published, withdrawn=promotion.withdrawn is not None)]


def _published_line(scope: str, published: Published, *, withdrawn: bool) -> str:
    version = f"{scope}: version {published.version} at offset {published.offset}"
    if published.decision == "accepted":
        end = "the rehearsal has ended" if withdrawn else "the rehearsal goes on"
        return f"promoted: {version} is in force, {end}"
    if published.decision == "refused":
        return f"refused: {version}: {published.field or 'record'}: expected {published.reason}; the rehearsal goes on"
    return f"{version} is published; no worker has decided yet, and the rehearsal goes on until you end it"


def _category_lines(change: CategoryChange) -> list[str]:
    head = (
        f"{change.key}: {change.live} live, {change.shadow} under rehearsal; "
        f"newly hit {change.newly_hit_count}, {_percent(change.newly_hit)}; "
        f"no longer hit {change.no_longer_hit_count}, {_percent(change.no_longer_hit)}"
    )
    return [
        head,
        *_ids("  newly hit", change.newly_hit_examples),
        *_ids("  no longer hit", change.no_longer_hit_examples),
    ]


def _side(side: Side) -> str:
    return "nothing" if side.digest is None else f"v{side.version} ({side.digest[:_DIGEST_CHARS]})"


def _left_out(report: RehearsalReport) -> str:
    counts = {
        "without a live verdict": report.without_live,
        "under another live policy or floor": report.other_policy,
        "of another model": report.other_model,
        "doubles": report.doubled,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none"


def _percent(found: Interval) -> str:
    if found.value is None:
        return "nothing to tell from"
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _cells(cells: Iterable[Cell]) -> str:
    return ", ".join(f"{cell.before} -> {cell.after} {cell.count}" for cell in cells) or "none"


def _ids(title: str, examples: Iterable[Example]) -> list[str]:
    named = " ".join(f"{visible(one.message_id, _ID_CELLS)} ({one.partition}/{one.offset})" for one in examples)
    return [f"{title}: {named}"] if named else []
