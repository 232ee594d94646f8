"""``rsafe dlq``: look at dead letters, and send messages again."""

# ruff: noqa: FBT002  - flags are typer's

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from worker.commands import options
from worker.commands.options import settings_from
from worker.config import Settings
from worker.decoding import UNREADABLE
from worker.dlq import topic
from worker.dlq.letters import Filter, Letter
from worker.dlq.redrive import Edit, Resend, resend
from worker.errors import StreamError, UsageError
from worker.show import visible

app: Final = typer.Typer(help="Dead letters: what could not be judged, and sending it again.", no_args_is_help=True)

_DETAIL_CELLS: Final = 60
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)

Places = Annotated[
    list[str] | None, typer.Argument(metavar="[PARTITION/OFFSET]", help="Places in dead-letters; none: all that match.")
]
Stage = Annotated[
    str | None,
    typer.Option(help="Only letters of this stage: decode, policy, exception, publish, retention or engine."),
]
Error = Annotated[str | None, typer.Option(help="Only letters with this error, such as DecodeError.")]
Tenant = Annotated[str | None, typer.Option(help="Only letters whose value names this tenant.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines.")]


@app.command("list", epilog="Example: rsafe dlq list --stage decode --unsent")
def list_command(
    stage: Stage = None,
    error: Error = None,
    tenant: Tenant = None,
    unsent: Annotated[bool, typer.Option("--unsent", help="Leave out what was sent again.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Print the newest so many.")] = 1000,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """List dead letters, the newest last: where they are, whose, why, and whether they were sent again."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    found = _chosen(settings, Filter(stage=stage, error=error, tenant=tenant, unsent=unsent))[-limit:]
    if as_json:
        _lines([_summary(letter) for letter in found])
    else:
        _table(found)


@app.command("show", epilog="Example: rsafe dlq show 3/17")
def show_command(
    place: Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="Its place in dead-letters.")],
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show one dead letter whole: its value may be personal data."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    found = _chosen(settings, Filter(places=frozenset({_place(place)})))
    if not found:
        text = f"no dead letter at {place}; 'rsafe dlq list' shows their places"
        raise UsageError(text)
    whole = _summary(found[0]) | _record(found[0])
    if as_json:
        _lines([whole])
    else:
        print("\n".join(f"{name}: {_plain(value)}" for name, value in whole.items()))


@app.command("redrive", epilog="Example: rsafe dlq redrive --stage decode --field tenant_id='\"acme\"' --dry-run")
def redrive_command(
    places: Places = None,
    stage: Stage = None,
    error: Error = None,
    tenant: Tenant = None,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME=JSON", help="Set a field of the message; null takes it away.")
    ] = None,
    value: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Send this file's bytes instead; for one letter only.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Send what was sent again before, too, and what is still no message."),
    ] = False,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Append dead letters to messages again, with a header that says what they take the place of.

    Nothing is taken away from dead-letters. Exit code 1 if any was refused.
    """
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    chosen = frozenset(_place(one) for one in places or ())
    if not chosen and not (stage or error or tenant):
        text = "which dead letters? give places, or at least one of --stage, --error, --tenant"
        raise UsageError(text)
    edit = _edit(field or [], value)
    found = _chosen(settings, Filter(places=chosen, stage=stage, error=error, tenant=tenant))
    if edit.value is not None and len(found) != 1:
        text = f"--value is for one letter, and {len(found)} match; name the one by its place"
        raise UsageError(text)
    rows = [resend(letter, edit, settings.topic("messages"), force=force) for letter in found]
    _report(settings, rows, dry_run=dry_run, as_json=as_json)


def _report(settings: Settings, rows: list[Resend], *, dry_run: bool, as_json: bool) -> None:
    """Send what may be sent, print what became of each, and end with 1 if anything was refused."""
    good = [row for row in rows if row.refused is None]
    places: Sequence[tuple[int, int] | None] = [None] * len(good)
    if not dry_run:
        places = asyncio.run(topic.send(settings, good))
    told = [_told(row, None) for row in rows if row.refused is not None]
    told += [_told(row, place) for row, place in zip(good, places, strict=True)]
    if as_json:
        _lines(told)
    else:
        print("\n".join(f"{one['place']}: {one['refused'] or one['sent_to'] or 'would be sent'}" for one in told))
        print(f"{len(good)} {'would be' if dry_run else 'were'} sent again, {len(rows) - len(good)} refused")
    if len(good) < len(rows):
        raise typer.Exit(1)


def _told(row: Resend, place: tuple[int, int] | None) -> dict[str, Any]:
    sent_to = f"{row.letter.topic}/{place[0]}/{place[1]}" if place else None
    return {
        "place": _join(row.letter.place),
        "source": row.letter.reference,
        "sent_to": sent_to,
        "refused": row.refused,
    }


def _chosen(settings: Settings, wanted: Filter) -> list[Letter]:
    found = [letter for letter in asyncio.run(topic.letters(settings)) if wanted.takes(letter)]
    missing = wanted.places - {letter.place for letter in found}
    if missing and found:
        text = f"no dead letter at {', '.join(sorted(map(_join, missing)))}; 'rsafe dlq list' shows their places"
        raise StreamError(text)
    return sorted(found, key=lambda letter: (letter.failed_at, letter.place))


def _place(text: str) -> tuple[int, int]:
    partition, slash, offset = text.partition("/")
    if not (slash and _NUMBER.fullmatch(partition) and _NUMBER.fullmatch(offset)):
        problem = f"{text!r} is no place; give PARTITION/OFFSET in dead-letters, such as 3/17"
        raise UsageError(problem)
    return int(partition), int(offset)


def _join(place: tuple[int, int]) -> str:
    return f"{place[0]}/{place[1]}"


def _edit(fields: list[str], value: Path | None) -> Edit:
    pairs = {}
    for item in fields:
        name, equals, given = item.partition("=")
        try:
            pairs[name] = msgspec.json.decode(given)
        except (*UNREADABLE, UnicodeEncodeError):
            equals = ""
        if not equals:
            text = f"--field {item!r} is not NAME=JSON; for example --field tenant_id='\"acme\"'"
            raise UsageError(text)
    try:
        return Edit(value=value.read_bytes() if value else None, fields=pairs)
    except OSError as error:
        text = f"{value} cannot be read ({error.strerror}); give a file with the new value"
        raise UsageError(text) from None


def _summary(letter: Letter) -> dict[str, Any]:
    return {
        "place": _join(letter.place),
        "source": letter.reference,
        "failed_at": letter.failed_at,
        "stage": letter.stage,
        "error": letter.error,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "tenant_id": letter.tenant_id,
        "superseded_by": _join(letter.superseded_by) if letter.superseded_by else None,
        "unreadable": letter.unreadable,
    }


def _record(letter: Letter) -> dict[str, Any]:
    headers = [[name, _readable(value)] for name, value in letter.headers]
    return {"key": _readable(letter.key), "value": _readable(letter.value), "headers": headers}


def _readable(value: bytes | None) -> str | None:
    """Return bytes as text, or as base64 where they are none."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def _plain(value: Any) -> str:
    """Return a value as one line that cannot steer a terminal."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return visible(text, len(text) * 2 + 1)


def _lines(rows: list[dict[str, Any]]) -> None:
    for one in rows:
        sys.stdout.write(json.dumps(one, ensure_ascii=False) + "\n")


def _table(found: list[Letter]) -> None:
    table = Table("place", "failed at", "source", "stage", "error", "detail", "tenant", "sent again")
    for letter in found:
        again = f"to {_join(letter.superseded_by)}" if letter.superseded_by else ""
        cells = (_join(letter.place), letter.failed_at, letter.reference, letter.stage, letter.error)
        detail, tenant = visible(letter.detail, _DETAIL_CELLS), visible(letter.unreadable or letter.tenant_id or "")
        table.add_row(*cells, detail, tenant, again)
    Console().print(table if found else "no dead letters")
