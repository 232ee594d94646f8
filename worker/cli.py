"""``rsafe``: every command, thin; each says errors in one line that names the cause and the cure."""

# ruff: noqa: PLC0415, FBT002  - commands import late, since engine and Faust take seconds; flags are typer's
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
import typer.exceptions

from worker import __version__
from worker.commands import dlq, options, policy, train
from worker.config import Settings
from worker.errors import UsageError, WorkerError
from worker.logs import configure

app: Final = typer.Typer(
    name="rsafe",
    help="Streaming moderation: messages from Kafka, judged by RSafe on vLLM, verdicts and reasoning traces to Kafka.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _version(wanted: bool) -> None:  # noqa: FBT001  (typer's callback form)
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Streaming moderation: messages from Kafka, judged by RSafe on vLLM, verdicts and traces to Kafka."""


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(epilog="Example: rsafe run --bootstrap-servers 127.0.0.1:9092 --model /models/rsafe-7b")
def run(
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    group_id: Annotated[str | None, typer.Option(help="Consumer group of all workers that share the work.")] = None,
    topic_prefix: options.Prefix = None,
    model: options.Model = None,
    engine: options.Engine = None,
    web_port: Annotated[int | None, typer.Option(help="Port for /livez, /readyz and /metrics; 0: a free one.")] = None,
    extra: options.Set = None,
) -> None:
    """Judge messages until SIGTERM; prints `ready` once it is joined, with policies read and the engine warm."""
    settings = _settings(
        config,
        extra,
        bootstrap_servers=bootstrap_servers,
        group_id=group_id,
        topic_prefix=topic_prefix,
        model=model,
        engine=engine,
        web_port=web_port,
    )
    from worker.commands import run as command

    command.run(settings)


@app.command(epilog="Example: rsafe broker --port 9092 --data-dir /tmp/kafka")
def broker(
    data_dir: Annotated[Path, typer.Option(help="Folder for Kafka's log; what is in it is kept.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 9092,
    config: options.Config = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Run a real Kafka in the foreground, with every topic; prints `ready HOST:PORT`. For development and demos."""
    settings = _settings(config, extra, topic_prefix=topic_prefix)
    from worker.commands import broker as command

    command.broker(port, data_dir, settings.topic_prefix)


topics_app: Final = typer.Typer(help="The topics that the worker needs.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")


@topics_app.callback()
def _topics() -> None:
    """Keep ``create`` a command of its own, however few there are."""


@topics_app.command("create", epilog="Example: rsafe topics create --partitions 16 --bootstrap-servers 127.0.0.1:9092")
def topics_create(
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of messages and outputs; never shrinks.")] = 8,
    replication: Annotated[int | None, typer.Option(min=1, help="Copies; 3, or as many as there are brokers.")] = None,
    min_isr: Annotated[
        int | None, typer.Option(min=1, help="Copies that must have a record; 2 where possible.")
    ] = None,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Create what is missing and grow what is too small; may be run as often as one likes."""
    settings = _settings(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    from worker.commands import topics as command

    command.create(settings, partitions, replication, min_isr, as_json=as_json)


@app.command(epilog="Example: rsafe send messages.jsonl --wait")
def send(
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="Messages as JSON Lines; -: standard input.")] = "-",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the outcomes and print them.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Send lines that are no messages, too, as they are.")] = False,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="With --wait: give up after so long a silence.")] = 60.0,
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Send messages to the worker, keyed by tenant and conversation."""
    settings = _settings(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    from worker.commands import send as command

    wanted = command.SendOptions(file=file, raw=raw, wait=wait, as_json=as_json, timeout_s=timeout_s)
    command.send(settings, wanted)


@app.command(epilog="Example: rsafe judge 'you are all idiots' --policy shop.json --json")
def judge(
    text: Annotated[str, typer.Argument(help="The message; - reads standard input.")],
    policy_file: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="A policy as JSON or TOML; a sample by default.")
    ] = None,
    role: Annotated[str, typer.Option(help="Who wrote it: 'user', or 'agent' for an answer in its context.")] = "user",
    context: Annotated[
        list[str] | None, typer.Option(metavar="ROLE: TEXT", help="An earlier turn; may be given many times.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Tenant whose policy FILE is.")] = "local",
    as_json: Json = False,
    model: options.Model = None,
    engine: options.Engine = None,
    config: options.Config = None,
    extra: options.Set = None,
) -> None:
    """Judge one message without Kafka and print the verdict and its reasoning."""
    settings = _settings(config, extra, model=model, engine=engine)
    from worker.commands import judge as command

    wanted = command.JudgeOptions(
        text=text, policy_file=policy_file, role=role, context=tuple(context or ()), tenant=tenant, as_json=as_json
    )
    command.judge(settings, wanted)


@app.command(epilog="Example: rsafe demo; quickly and without a model: rsafe demo --engine scripted")
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave all running until Ctrl-C, to look around.")] = False,
    as_json: Json = False,
    model: options.Model = None,
    engine: options.Engine = None,
    config: options.Config = None,
    extra: options.Set = None,
) -> None:
    """See everything once: real Kafka, three tenants, a policy that changes in the middle; nothing is left running."""
    settings = _settings(config, extra, model=model, engine=engine)
    from worker.commands import demo as command

    command.demo(settings, keep=keep, as_json=as_json)


@app.command(epilog="Example: rsafe bench --only e2e_over_judge --repeats 5")
def bench(
    messages: Annotated[int, typer.Option(min=0, help="Messages in one measurement; 0 takes a size that fits.")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements of each side, in turns.")] = 3,
    only: Annotated[str, typer.Option(help="The one ratio wanted.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the traffic.")] = 1,
    out: Annotated[Path, typer.Option(help="File that everything measured goes to.")] = Path("build") / "bench.json",
    as_json: Json = False,
    model: options.Model = None,
    config: options.Config = None,
    extra: options.Set = None,
) -> None:
    """Measure throughput as ratios, in one run on this machine: against the bare judge and a bare Kafka loop."""
    settings = _settings(config, extra, model=model)
    from worker.bench.run import BenchOptions
    from worker.commands import bench as command

    wanted = BenchOptions(messages=messages, repeats=repeats, only=only, seed=seed)
    command.bench(settings, wanted, out=out, as_json=as_json)


@app.command(epilog="Example: rsafe doctor --bootstrap-servers 127.0.0.1:9092")
def doctor(
    as_json: Json = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    model: options.Model = None,
    engine: options.Engine = None,
    extra: options.Set = None,
) -> None:
    """Print every setting as it resolved, and check Kafka, topics, model, memory and port."""
    settings = _settings(
        config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, model=model, engine=engine
    )
    from worker.commands import doctor as command

    command.doctor(settings, as_json=as_json)


app.add_typer(policy.app, name="policy")
app.add_typer(dlq.app, name="dlq")
app.add_typer(train.app, name="train")


def _settings(config: Path | None, extra: list[str] | None, **flags: object) -> Settings:
    settings = options.settings_from(config, extra, **flags)
    configure(settings.log_level)
    return settings


def main() -> None:
    """Run one command; exit 0 on success, 2 on wrong use, 1 on failure."""
    arguments = sys.argv[1:] or ["--help"]
    try:
        code = app(arguments, prog_name="rsafe", standalone_mode=False)
    except typer.exceptions.TyperException as error:
        code = _say(f"{error.format_message()} See 'rsafe --help' or 'rsafe COMMAND --help'.", 2)
    except UsageError as error:
        code = _say(error, 2)
    except WorkerError as error:
        code = _say(error, 1)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _say(error: object, code: int) -> int:
    print(f"rsafe: {error}", file=sys.stderr)
    return code
