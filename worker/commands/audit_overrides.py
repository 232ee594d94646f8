"""``rsafe audit override`` and ``rsafe audit overrides``: what people decide about verdicts, and what that says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated

import typer

from worker.audit.explain.find import Hint
from worker.audit.overrides.log import override, read_overrides
from worker.audit.overrides.overrides import OverridesReport, Ruling
from worker.audit.replay.report_words import percent
from worker.commands import options
from worker.commands.audit_export import MOST_LINES, Json, Tenant, TimeTo, wanted
from worker.commands.common import command_settings, tell
from worker.override_records import Decision
from worker.records import Action, Label


def override_command(
    verdict_id: Annotated[str, typer.Argument(metavar="VERDICT_ID", help="32 hex digits.")],
    decision: Annotated[Decision, typer.Option("--decision", help="Whether the verdict stands, and how not.")],
    reviewer: Annotated[str, typer.Option("--reviewer", help="Id of the person who decides; no name is needed.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Why, without words of the message.")] = None,
    label: Annotated[Label | None, typer.Option("--label", help="What it should be.")] = None,
    category: Annotated[
        list[str] | None, typer.Option("--category", help="Category that should be hit; '' for none.")
    ] = None,
    action: Annotated[Action | None, typer.Option("--action", help="What should follow.")] = None,
    text: Annotated[
        str | None, typer.Option("--text", help="A case of the same kind in your own words, for golden cases.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="The verdict's partition: faster.")] = None,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Publish a person's decision about a verdict; the verdict itself stays as it is."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    ruling = Ruling(
        decision=decision,
        reviewer=reviewer,
        reason=reason,
        label=label,
        categories=None if category is None else tuple(one for one in category if one),
        action=action,
        text=text,
    )
    written = asyncio.run(override(settings, verdict_id, ruling, Hint(partition=partition)))
    note = "" if written.compared in {None, True} else "; the message is gone, so nothing was compared with its words"
    place = f"{written.topic}/{written.partition}/{written.offset}"
    tell(written, [f"{decision} of {verdict_id} in {place}{note}"], as_json=as_json)


def overrides_command(
    time_from: Annotated[
        str | None, typer.Option("--from", metavar="T", help="Decided from T on; as for verify.")
    ] = None,
    time_to: TimeTo = None,
    tenant: Tenant = None,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Join decisions of people to verdicts: precision by policy version and category, and golden cases to add."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    report = asyncio.run(read_overrides(settings, wanted(time_from, time_to, tenant)))
    tell(report, overrides_lines(report), as_json=as_json)


def overrides_lines(report: OverridesReport) -> Iterator[str]:
    """Say what people decided."""
    sums = ", ".join(f"{count} {name}" for name, count in report.decisions.items())
    yield f"{sums}; {report.gone} of them about verdicts that are gone, {report.missed} missed by the model"
    if report.precision:
        yield "unsafe verdicts that people let stand (of those they looked at, 95 % interval):"
    for one in report.precision:
        what = f"{one.scope}@{one.version} {one.category or 'all'}"
        yield f"  {what}: {one.upheld} of {one.reviewed}, {percent(one.precision)}"
    if report.proposals:
        yield "proposed as golden cases:"
    for case in report.proposals[:MOST_LINES]:
        place = "/".join(map(str, (case.source.topic, case.source.partition, case.source.offset)))
        text = "rewritten text given" if case.text else "write one with 'rsafe audit override --text'"
        yield f"  {case.scope}: {case.label} {','.join(case.categories) or '-'}, message {place}; {text}"
    if len(report.proposals) > MOST_LINES:
        yield f"  and {len(report.proposals) - MOST_LINES} more; see --json"
