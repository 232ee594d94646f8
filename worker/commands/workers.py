"""``rsafe workers``: orders to running workers."""

# ruff: noqa: FBT002  - flags are typer's

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import Struct

from worker.commands import options
from worker.commands.common import command_settings, tell
from worker.errors import UsageError
from worker.stream.control import MOST_REASON_CHARS, Command, Level, order

app: Final = typer.Typer(help="Orders to running workers: pause, resume, log more or less.", no_args_is_help=True)

Instance = Annotated[
    str | None, typer.Option(help="Only the worker of this name (its instance_id); all workers if left out.")
]
Reason = Annotated[str, typer.Option(help="Why, in one line, for /readyz and the log; no words of a message.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Ordered(Struct, frozen=True, kw_only=True):
    """What ``--json`` prints: the command, and where it stands."""

    command: Command
    topic: str
    partition: int
    offset: int


@app.command("pause", epilog="Example: rsafe workers pause --reason 'broker upgrade'")
def pause_command(
    reason: Reason = "",
    instance: Instance = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Have workers read nothing new; what is in flight is finished, and /readyz says why.

    A worker that starts later knows nothing of it.
    """
    if len(reason) > MOST_REASON_CHARS:
        text = f"--reason has {len(reason)} characters; at most {MOST_REASON_CHARS} are taken"
        raise UsageError(text)
    command = Command(command="pause", reason=reason, instance_id=instance)
    _order(command, config, bootstrap_servers, topic_prefix, extra, as_json=as_json)


@app.command("resume", epilog="Example: rsafe workers resume")
def resume_command(
    instance: Instance = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Have workers read on after a pause."""
    command = Command(command="resume", instance_id=instance)
    _order(command, config, bootstrap_servers, topic_prefix, extra, as_json=as_json)


@app.command("log-level", epilog="Example: rsafe workers log-level debug --instance w1")
def log_level_command(
    level: Annotated[Level, typer.Argument(help="Least serious line that is logged.")],
    instance: Instance = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Have workers log more or less, until they are told otherwise or end."""
    command = Command(command="log_level", level=level, instance_id=instance)
    _order(command, config, bootstrap_servers, topic_prefix, extra, as_json=as_json)


def _order(
    command: Command,
    config: Path | None,
    bootstrap_servers: str | None,
    topic_prefix: str | None,
    extra: list[str] | None,
    *,
    as_json: bool,
) -> None:
    settings = command_settings(config, bootstrap_servers, topic_prefix, extra)
    partition, offset = asyncio.run(order(settings, command))
    made = Ordered(command=command, topic=settings.topic("commands"), partition=partition, offset=offset)
    whom = f"the worker {command.instance_id}" if command.instance_id else "all workers"
    place = f"{made.topic} at {partition}/{offset}"
    line = f"{command.command} for {whom} stands in {place}; those that run obey in a moment"
    tell(made, [line], as_json=as_json)
