"""``rsafe audit export`` and ``rsafe audit retract``: verdicts out of the log, and verdicts that no longer stand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from worker.audit.export.export import ExportReport, Format, export
from worker.audit.export.statement import Automated, Wish
from worker.audit.retract import RetractReport, retract
from worker.audit.standing import Wanted
from worker.commands import options
from worker.commands.common import command_settings, tell, time_ms, told
from worker.records import Action

#: Lines and counts of a list that are shown; ``--json`` has all.
MOST_LINES: Final = 20
_SHOWN_DIGITS: Final = 12

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TimeFrom = Annotated[
    str | None,
    typer.Option("--from", metavar="T", help="First time of a message: RFC 3339, milliseconds since 1970, or -1h."),
]
TimeTo = Annotated[str | None, typer.Option("--to", metavar="T", help="First time that is left out.")]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant.")]


def export_command(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write; replaced once it is whole.")],
    form: Annotated[
        Format,
        typer.Option("--format", help="'dsa': statements of reasons, with the policy's notice as the only text."),
    ] = "jsonl",
    time_from: TimeFrom = None,
    time_to: TimeTo = None,
    tenant: Tenant = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="dsa: language of the notice, the best one first; en.")
    ] = None,
    territory: Annotated[
        list[str] | None, typer.Option("--territory", help="dsa: country where the decision holds, such as DE.")
    ] = None,
    automated: Annotated[
        Automated, typer.Option("--automated", help="dsa: how far the decision is made without people.")
    ] = "fully",
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Write the verdicts that stand to a file: no text, no author, no reasoning in any format."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    wish = Wish(
        languages=tuple(language or ("en",)),
        territories=tuple(one.upper() for one in territory or ()),
        automated=automated,
    )
    with told() as progress:
        report = asyncio.run(export(settings, wanted(time_from, time_to, tenant), form, out, wish, progress))
    tell(report, export_lines(report), as_json=as_json)


def retract_command(
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="DIGEST|SCOPE@VERSION|SCOPE@DIGEST", help="Whose verdicts no longer stand."),
    ],
    time_from: Annotated[str, typer.Option("--from", metavar="T", help="First time of a message; as for verify.")],
    time_to: Annotated[str, typer.Option("--to", metavar="T", help="First time that is left out.")],
    tenant: Tenant = None,
    action: Annotated[Action, typer.Option("--action", help="What the superseding verdicts recommend.")] = "review",
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; it travels in the header retract_reason.")
    ] = None,
    publish: Annotated[bool, typer.Option("--publish", help="Write the superseding verdicts.")] = False,  # noqa: FBT002
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Count the verdicts of a policy version, and with --publish supersede each; a second run publishes nothing."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    chosen = wanted(time_from, time_to, tenant)
    with told() as progress:
        report = asyncio.run(retract(settings, policy, chosen, action, reason, publish=publish, progress=progress))
    tell(report, retract_lines(report, publish=publish), as_json=as_json)


def export_lines(report: ExportReport) -> Iterator[str]:
    """Say what was exported, and what was not and why."""
    yield f"{report.exported} {report.format} records in {report.file}{_counts(report.tenants)}"
    if report.left_out_file is not None:
        left_out = sum(one.count for one in report.left_out)
        yield f"{report.unrestricted} verdicts restrict nothing"
        yield f"{left_out} restrict a message and cannot be stated, see {report.left_out_file}"
    for one in report.left_out[:MOST_LINES]:
        yield f"  {one.count} x {one.tenant_id} {one.category or '-'}: {one.reason}"
    if len(report.left_out) > MOST_LINES:
        yield f"  and {len(report.left_out) - MOST_LINES} more reasons; see --json"


def retract_lines(report: RetractReport, *, publish: bool) -> Iterator[str]:
    """Say what is planned or done."""
    done = (
        f"{report.published} superseding verdicts published" if publish else f"{report.planned} verdicts to supersede"
    )
    yield f"{report.policy}: {done} with action {report.action}; {report.already} have it already"
    digests = {digest[:_SHOWN_DIGITS]: count for digest, count in report.digests.items()}
    by = {"tenant": report.tenants, "category": report.categories, "action": report.actions, "digest": digests}
    for name, counts in by.items():
        if counts:
            yield f"  by {name}{_counts(counts)}"
    if report.not_applicable:
        yield f"  {report.not_applicable} safe verdicts cannot be {report.action}; they stay as they are"
    if report.planned and not publish:
        yield "  nothing was written; --publish does it"


def _counts(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in islice(counts.items(), MOST_LINES)]
    hidden = [f"and {len(counts) - len(shown)} more; see --json"] if len(counts) > len(shown) else []
    return ": " + ", ".join([*shown, *hidden]) if shown else ""


def wanted(time_from: str | None, time_to: str | None, tenant: str | None) -> Wanted:
    """Return which verdicts are meant.

    Raises:
        UsageError: a time is none, or the end stands before the start.

    """
    return Wanted(
        from_ms=time_ms(time_from),
        to_ms=time_ms(time_to),
        tenant_id=tenant,
    )
