"""``rsafe audit``: prove that nothing is lost, doubled or changed, and say why a verdict is what it is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console

from worker.audit.explain.explain import explain
from worker.audit.explain.find import Hint
from worker.audit.span import Span
from worker.audit.verify.integrity import with_integrity
from worker.audit.verify.report import Report
from worker.audit.verify.seals import seal_outcomes
from worker.audit.verify.verify import verify
from worker.commands import audit_erase, audit_export, audit_overrides, audit_show, options
from worker.commands.common import command_settings, time_ms, told
from worker.config import Settings
from worker.errors import UsageError

app: Final = typer.Typer(help="Prove that every message has its outcome, and explain verdicts.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TimeFrom = Annotated[
    str | None, typer.Option("--from", metavar="T", help="First time: RFC 3339, milliseconds since 1970, or -1h.")
]
TimeTo = Annotated[str | None, typer.Option("--to", metavar="T", help="First time that is left out.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only this partition of messages.")]


@app.command("verify", epilog="Example: rsafe audit verify --from -24h --json")
def verify_command(
    time_from: TimeFrom = None,
    time_to: TimeTo = None,
    partition: Partition = None,
    from_offset: Annotated[int | None, typer.Option(min=0, help="First offset of that partition.")] = None,
    to_offset: Annotated[int | None, typer.Option(min=0, help="First offset that is left out.")] = None,
    integrity: Annotated[bool, typer.Option("--integrity", help="Check traces and seals, too.")] = False,  # noqa: FBT002
    seals: Annotated[
        Path | None, typer.Option("--seals", metavar="FILE", help="What 'rsafe audit seal' wrote; means --integrity.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Prove from the topics that each message has exactly one outcome; exit 1 if a list is not empty."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    span = Span(
        from_ms=time_ms(time_from),
        to_ms=time_ms(time_to),
        partition=partition,
        from_offset=from_offset,
        to_offset=to_offset,
    )
    report = asyncio.run(_verify(settings, span, integrity=integrity or seals is not None, seals=seals))
    rate = report.checked / report.elapsed_s if report.elapsed_s else 0.0
    print(
        f"{report.checked} inputs and their outcomes, {report.records} records, in {report.elapsed_s:.1f} s: "
        f"{rate:.0f} inputs/s",
        file=sys.stderr,
    )
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        audit_show.show_report(Console(soft_wrap=True), report)
    if not report.ok:
        raise typer.Exit(1)


async def _verify(settings: Settings, span: Span, *, integrity: bool, seals: Path | None) -> Report:
    with told() as progress:
        report, logs = await verify(settings, span, progress)
        return await with_integrity(settings, report, logs, seals) if integrity else report


@app.command("seal", epilog="Example: rsafe audit seal /mnt/worm/moderation.seals")
def seal_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines; what is new is appended.")],
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Write Merkle roots of new verdicts and dead letters to a file; keep it where Kafka's owner cannot write."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    try:
        sealed = asyncio.run(seal_outcomes(settings, file))
    except OSError as error:
        text = f"{file} cannot be written ({error.strerror}); give a file in a folder that exists"
        raise UsageError(text) from None
    if as_json:
        print(msgspec.json.encode(sealed).decode())
    else:
        print(f"sealed {sealed.records} records in {sealed.segments} segments; head {sealed.head or 'none'}")


@app.command("explain", epilog="Example: rsafe audit explain 9f8a... ; rsafe audit explain m-17 --tenant acme --json")
def explain_command(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="A verdict's id, or a message's id with --tenant.")],
    tenant: Annotated[str | None, typer.Option(help="Tenant of the message whose id is given.")] = None,
    partition: Partition = None,
    offset: Annotated[int | None, typer.Option(min=0, help="The message's offset in that partition: faster.")] = None,
    time_from: Annotated[
        str | None, typer.Option("--from", metavar="T", help="Not before this time; as for verify.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002
    model: options.Model = None,
    engine: options.Engine = None,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show message, policy, deciding clause, exact prompt, reasoning, and who was in force when."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra, model=model, engine=engine)
    from_ms = time_ms(time_from)
    hint = Hint(partition=partition, offset=offset, from_ms=from_ms)
    with told() as progress:
        found = asyncio.run(explain(settings, wanted, tenant, hint, progress))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        audit_show.show_explanation(Console(), found)


app.command("export", epilog="Example: rsafe audit export --from -30d --format dsa --language de --out reasons.jsonl")(
    audit_export.export_command
)
app.command("retract", epilog="Example: rsafe audit retract --policy acme@3 --from -2d --to -1h --publish")(
    audit_export.retract_command
)
app.command("override", epilog="Example: rsafe audit override 9f8a... --decision overturn --reviewer r-17")(
    audit_overrides.override_command
)
app.command("erase", epilog="Example: rsafe audit erase --tenant acme --author u-17 --yes --by dpo")(
    audit_erase.erase_command
)
app.add_typer(audit_erase.hold_app, name="hold")
app.command("overrides", epilog="Example: rsafe audit overrides --from -30d --json")(audit_overrides.overrides_command)
