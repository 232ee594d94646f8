"""``rsafe exceptions``: allow, for a time and with a name to it, what a policy would act on."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import sys
from collections.abc import Iterator
from typing import Annotated, Final

import typer
from msgspec import UNSET, Struct

from worker.audit.exception_uses import Uses, read_uses
from worker.commands import options
from worker.commands.common import command_settings, moment_ms, tell
from worker.config import Settings
from worker.errors import UsageError
from worker.exceptions import lifecycle
from worker.exceptions.accept import MAX_DAYS
from worker.exceptions.lifecycle import Current, Published, Wish
from worker.exceptions.records import ExceptionRecord

app: Final = typer.Typer(
    help="Scoped, expiring allowances for a text, an author or a channel; hits stay visible.", no_args_is_help=True
)

_SINCE: Final = "-24h"
_LINE_CELLS: Final = 400
_MS: Final = 1000
_LIFE: Final = re.compile(r"(\d{1,5})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST: Final = dt.timedelta(days=MAX_DAYS)
#: The longest life is so much shorter: it counts from Kafka's time of the record, which may be before the time here.
_CLOCKS_DIFFER: Final = dt.timedelta(minutes=1)

KeyArg = Annotated[str, typer.Argument(metavar="KEY", help="SCOPE#ID, as 'rsafe exceptions list' shows it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[
    str, typer.Option("--from", metavar="T", help="Count uses since then: RFC 3339, milliseconds since 1970, or -1h.")
]


class Listed(Struct, frozen=True, kw_only=True):
    """What ``--json`` prints of one exception: its newest record, and how often verdicts named it."""

    exception: Current
    uses: Uses


@app.command(
    "put", epilog="Example: rsafe exceptions put acme --author u-17 --owner trust --reason 'test' --expires 7d"
)
def put_command(
    scope: Annotated[
        str,
        typer.Argument(metavar="SCOPE", help="TENANT, TENANT/CHANNEL, or * for the platform's, the floor included."),
    ],
    owner: Annotated[str, typer.Option(help="Who answers for it.")],
    reason: Annotated[str, typer.Option(help="Why, in one line, without words of a message.")],
    expires: Annotated[
        str, typer.Option(metavar="T", help=f"When it ends: RFC 3339, or 12h, 7d; at most {MAX_DAYS}d.")
    ],
    text: Annotated[
        str | None,
        typer.Option(metavar="TEXT|-", help="Messages of this text; - reads it. Only a keyed fingerprint is stored."),
    ] = None,
    author: Annotated[str | None, typer.Option(help="Messages of this author.")] = None,
    channel: Annotated[str | None, typer.Option(help="Messages in this channel.")] = None,
    tenant: Annotated[str | None, typer.Option(help="With scope *: messages of this tenant.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Only hits of this category; may be given often. All that SCOPE may allow.")
    ] = None,
    exception_id: Annotated[
        str | None, typer.Option("--id", help="Its name within SCOPE; one that is there is replaced.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Publish an exception and wait until it is in force; all of text, author and channel that are given must match."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    wish = Wish(
        scope=scope,
        owner=owner,
        reason=reason,
        expires_at=_expiry(expires),
        exception_id=exception_id,
        categories=tuple(category or ()),
        tenant_id=tenant,
        channel_id=channel,
        author_id=author,
        text=_text(text),
    )
    published = asyncio.run(lifecycle.put(settings, wish))
    tell(published, [_published_line(published)], as_json=as_json)


@app.command("list", epilog="Example: rsafe exceptions list --scope acme --from -7d")
def list_command(
    scope: Annotated[str | None, typer.Option(help="Only those of this scope.")] = None,
    time_from: Since = _SINCE,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show every exception, expired and refused ones too, and how many verdicts each one changed."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    rows = asyncio.run(_listed(settings, scope, time_from))
    tell(rows, [_line(row) for row in rows] or ["there is no exception"], as_json=as_json)


@app.command("show", epilog="Example: rsafe exceptions show acme#partner --json")
def show_command(
    key: KeyArg,
    time_from: Since = _SINCE,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show one exception whole: what it matches, for whom, why, until when, and how it fares."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    row = asyncio.run(_shown(settings, key, time_from))
    tell(row, list(_lines(row)), as_json=as_json)


@app.command("delete", epilog="Example: rsafe exceptions delete acme#partner")
def delete_command(
    key: KeyArg,
    as_json: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """End an exception (a tombstone) and wait until that counts; verdicts that named it keep its name."""
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    published = asyncio.run(lifecycle.delete(settings, key))
    tell(published, [_published_line(published)], as_json=as_json)


def _text(text: str | None) -> str | None:
    if text != "-":
        return text
    return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")


def _expiry(text: str) -> dt.datetime:
    """Read a time, or a life from now on."""
    now = dt.datetime.now(dt.UTC)
    if said := _LIFE.fullmatch(text):
        life = dt.timedelta(**{_UNITS[said[2]]: int(said[1])})
        return now + (life if life > _LONGEST else min(life, _LONGEST - _CLOCKS_DIFFER))
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        message = f"--expires {text!r} is no time; write 2026-05-01T12:00:00Z, or 12h, 7d"
        raise UsageError(message) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


async def _listed(settings: Settings, scope: str | None, time_from: str) -> list[Listed]:
    rows = await lifecycle.current(settings, scope)
    uses = await read_uses(settings, moment_ms(time_from))
    return [Listed(exception=row, uses=uses.get(row.key, Uses())) for row in rows]


async def _shown(settings: Settings, key: str, time_from: str) -> Listed:
    row = await lifecycle.show(settings, key)
    uses = await read_uses(settings, moment_ms(time_from))
    return Listed(exception=row, uses=uses.get(key, Uses()))


def _published_line(published: Published) -> str:
    when = _at(published.from_ms)
    if published.record is None:
        return f"{published.key}: ended for messages from {when} on"
    return f"{published.key}: in force for messages from {when} until {_time(published.record.expires_at)}"


def _line(row: Listed) -> str:
    one, uses = row.exception, row.uses
    fares = f"changed {uses.changed} verdicts"
    if one.record is None:
        return f"{one.key:<28} refused    {one.field}: expected {one.expected}"
    return (
        f"{one.key:<28} {one.state:<9}  {matches(one.record)}; until {_time(one.record.expires_at)}; {fares};"
        f" {one.record.owner}: {one.record.reason}"
    )


def _lines(row: Listed) -> Iterator[str]:
    one, uses = row.exception, row.uses
    yield f"{one.key}: {one.state}"
    if one.record is None:
        yield f"{one.field}: expected {one.expected}"
    else:
        yield f"for: {matches(one.record)}"
        yield f"owner: {one.record.owner}"
        yield f"reason: {one.record.reason}"
        yield (
            f"created {_time(one.record.created_at)}, counts from {_at(one.from_ms)}, until"
            f" {_time(one.record.expires_at)}"
        )
    if one.state == "void":
        yield "it names a category of the platform's floor, so it allows nothing; take that out, or ask the platform"
    last = f", the last one at {_time(uses.last_at)}" if uses.last_at else ""
    yield f"took hits of {uses.verdicts} verdicts back and changed the action of {uses.changed}{last}"


def matches(record: ExceptionRecord) -> str:
    """Say in one line which hits on which messages an exception takes back."""
    named = {
        "tenant": record.tenant_id,
        "channel": record.scope.partition("/")[2] or record.channel_id,
        "author": record.author_id,
        "text": record.fingerprint,
    }
    said = " ".join(f"{name} {value}" for name, value in named.items() if value is not UNSET)
    return f"{', '.join(record.categories) or 'all categories'} of {said}"


def _at(time_ms: int) -> str:
    return _time(dt.datetime.fromtimestamp(time_ms / _MS, dt.UTC))


def _time(moment: dt.datetime) -> str:
    # In its own zone: a record may hold a time that has no counterpart in another one.
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
