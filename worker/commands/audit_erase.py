"""``rsafe audit erase`` and ``rsafe audit hold``: whose words nobody shall read any more, and whose must stay."""

# ruff: noqa: FBT002  - flags are typer's

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from worker.audit.erasing.erase import Plan, erase, plan
from worker.audit.erasing.holds import Request, delete_hold, holds, put_hold
from worker.commands import options
from worker.commands.audit_export import Json
from worker.commands.common import command_settings, tell
from worker.erasure.records import Erasure
from worker.erasure.subjects import Subject, wanted
from worker.errors import UsageError
from worker.records import encode

Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose author or conversation it is.")]
Author = Annotated[str | None, typer.Option("--author", metavar="ID", help="The author_id of messages.")]
Conversation = Annotated[
    str | None, typer.Option("--conversation", metavar="ID", help="The conversation_id of messages without an author.")
]
Record = Annotated[
    str | None,
    typer.Option("--record", metavar="PARTITION/OFFSET", help="A record of messages that names neither of the two."),
]
By = Annotated[str, typer.Option("--by", help="Who does it, for the record; your login by default.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the record, such as a case number; no names.")]


def erase_command(
    tenant: Tenant = None,
    author: Author = None,
    conversation: Conversation = None,
    record: Record = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what it would do.")] = False,
    counting: Annotated[
        bool, typer.Option("--count", help="Read topics whole: counts, an exact date, dead letters that may be theirs.")
    ] = False,
    by: By = "",
    reason: Reason = None,
    receipt: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Write the receipt here, too; must not exist.")
    ] = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Make everything unreadable that we keep of a person's words; without --yes only say what that would be."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    request = _request(wanted(tenant, author, conversation, record), by, reason)
    if not yes:
        found = asyncio.run(plan(settings, request, counting=counting))
        tell(found, plan_lines(found), as_json=as_json)
        return
    if receipt is not None and receipt.exists():
        text = f"{receipt} is there already; a receipt replaces nothing, so name another file"
        raise UsageError(text)
    done = asyncio.run(erase(settings, request, counting=counting))
    tell(done, receipt_lines(done), as_json=as_json)
    if receipt is not None:
        _write(receipt, done)


hold_app: Final = typer.Typer(help="Legal holds: whose words must not be erased.", no_args_is_help=True)


@hold_app.command("put", epilog="Example: rsafe audit hold put --tenant acme --author u-17 --reason 'case 4711'")
def hold_put_command(
    tenant: Tenant = None,
    author: Author = None,
    conversation: Conversation = None,
    record: Record = None,
    by: By = "",
    reason: Reason = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Forbid the erasure of a person's words until the hold is deleted; retention goes on as ever."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    held = asyncio.run(put_hold(settings, _request(wanted(tenant, author, conversation, record), by, reason)))
    tell(held, [_line(held)], as_json=as_json)


@hold_app.command("list", epilog="Example: rsafe audit hold list --json")
def hold_list_command(
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """List who is under a hold, by the names that the topics know: no ids of people."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    found = list(asyncio.run(holds(settings)).values())
    tell(found, [_line(one) for one in found] or ["no holds"], as_json=as_json)


@hold_app.command("delete", epilog="Example: rsafe audit hold delete --tenant acme --author u-17")
def hold_delete_command(
    tenant: Tenant = None,
    author: Author = None,
    conversation: Conversation = None,
    record: Record = None,
    by: By = "",
    reason: Reason = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Release a person's words from their hold."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    released = asyncio.run(delete_hold(settings, _request(wanted(tenant, author, conversation, record), by, reason)))
    tell(released, [_line(released)], as_json=as_json)


def _request(subject: Subject, by: str, reason: str | None) -> Request:
    return Request(subject=subject, by=by or getpass.getuser(), reason=reason)


def plan_lines(found: Plan) -> Iterator[str]:
    """Say what an erasure would do."""
    yield f"would erase {found.subject}: {found.keys} keys, {found.erased} are erased already"
    if found.counted is not None:
        sums = found.counted.records.items()
        records = ", ".join(f"{'unknown' if number is None else number} in {name}" for name, number in sums)
        yield f"sealed records: {records}; messages that are still there: {found.counted.messages}"
    yield from _limits(found)
    yield "nothing was done; --yes does it"


def receipt_lines(done: Erasure) -> Iterator[str]:
    """Say what was erased."""
    yield f"erased {done.subject}: {done.keys} keys, at {done.at.isoformat(timespec='seconds')} by {done.by}"
    yield from _limits(done)
    yield f"receipt {done.erasure_id} stands in erasures"


def _limits(said: Plan | Erasure) -> Iterator[str]:
    if said.messages_until is not None:
        yield f"messages holds the text until {said.messages_until.isoformat(timespec='seconds')} at the latest"
    for one in said.not_covered:
        yield f"not covered: {one}"


def _line(one: Erasure) -> str:
    why = f": {one.reason}" if one.reason else ""
    whose = f" of {one.tenant_id}" if one.tenant_id else ""
    return f"{one.state} {one.kind}{whose} {one.subject} at {one.at.isoformat(timespec='seconds')} by {one.by}{why}"


def _write(path: Path, done: Erasure) -> None:
    try:
        with path.open("xb") as file:
            file.write(encode(done) + b"\n")
    except OSError as error:
        text = f"{path} cannot be written ({error.strerror}); the erasure is done, its receipt stands in erasures"
        raise UsageError(text) from None
