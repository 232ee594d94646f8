"""``rsafe``: every command, thin; each says errors in one line that names the cause and the cure."""

# ruff: noqa: PLC0415, FBT002  - commands import late, since engine and Faust take seconds; flags are typer's
from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer
import typer.exceptions

from worker import __version__
from worker.commands import audit, dlq, exceptions, options, policy_packs, train, workers
from worker.config import Settings
from worker.errors import UsageError, WorkerError
from worker.logs import configure, guard

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


@topics_app.command("acls", epilog="Example: rsafe topics acls --principal User:rsafe --shadow User:rsafe-shadow")
def topics_acls(
    principal: Annotated[str, typer.Option(help="Whom Kafka is to allow it, as it names the login.")] = "User:rsafe",
    shadow: Annotated[
        str | None, typer.Option(help="The rehearsals' own login (shadow_sasl_username); the worker's if left out.")
    ] = None,
    role: Annotated[
        str,
        typer.Option(help="worker, shadow, author, sender, operator, replay, eraser, reviewer, retractor, or auditor."),
    ] = "worker",
    as_json: Annotated[bool, typer.Option("--json", help="Print every role's ACLs as JSON.")] = False,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Print the calls of kafka-acls.sh that let a login do what it needs, and nothing else; changes nothing."""
    settings = _settings(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    from worker.commands import topics as command

    command.acls(settings, role, principal, shadow, as_json=as_json)


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


@app.command(epilog="Example: rsafe replay --from 2026-03-01 --policy bazaar.json --html report.html")
def replay(
    time_from: Annotated[str | None, typer.Option("--from", help="First time, as in RFC 3339, or -1h.")] = None,
    time_to: Annotated[str | None, typer.Option("--to", help="First time that is left out.")] = None,
    offsets: Annotated[
        list[str] | None, typer.Option(metavar="PARTITION[:FROM-TO]", help="Offsets, TO excluded; may be given often.")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Only this tenant; may be given often.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="Only this channel; may be given often.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only messages that were 'safe' or 'unsafe'.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Only messages that hit this category.")] = None,
    policy_file: Annotated[
        str, typer.Option("--policy", metavar="as-judged|now|FILE", help="Judge under what; FILE replaces one part.")
    ] = "as-judged",
    scope: Annotated[str | None, typer.Option(help="Whose part FILE is; its name without the ending.")] = None,
    control: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share judged twice, the A/A control; 0.1 or 100 by default.")
    ] = None,
    max_in_flight: Annotated[int, typer.Option(min=1, help="Messages in the judge at once.")] = 8,
    join: Annotated[
        str | None, typer.Option("--join", "--resume", metavar="RUN", help="Go on with a run, or help with it.")
    ] = None,
    report: Annotated[str | None, typer.Option(metavar="RUN", help="Only report on a run.")] = None,
    list_runs: Annotated[bool, typer.Option("--list", help="Only list all runs.")] = False,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Labels of people, for precision and recall.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page, too.")] = None,
    as_json: Json = False,
    model: options.Model = None,
    engine: options.Engine = None,
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Judge a range of the log again, into topics of its own, and report what would be otherwise."""
    settings = _settings(
        config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, model=model, engine=engine
    )
    from worker.commands import replay as command

    if list_runs:
        command.list_runs(settings, as_json=as_json)
        return
    wanted = command.ReplayOptions(
        time_from=time_from,
        time_to=time_to,
        offsets=tuple(offsets or ()),
        tenants=tuple(tenant or ()),
        channels=tuple(channel or ()),
        labels=tuple(label or ()),
        categories=tuple(category or ()),
        policy=policy_file,
        scope=scope,
        control=control,
        max_in_flight=max_in_flight,
        join=join,
        report=report,
        labels_file=labels,
        html=html,
        as_json=as_json,
    )
    command.replay(settings, wanted)


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


@app.command("eval", epilog="Example: rsafe eval --model build/model --data ../shared/data --rows 200 --out build/eval")
def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")] = Path("..") / "shared" / "data",
    paper: Annotated[
        list[str] | None,
        typer.Option(help="Measure a set of the paper too: NAME or NAME=FILE; NAME/test: its official test split."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose rows: dev, calib, or test (only for figures to publish).")] = "dev",
    only: Annotated[
        str, typer.Option(help="Parts, with commas: quality,wording,baseline,format,following,reasoning,fairness.")
    ] = "",
    method: Annotated[str, typer.Option(help="Scores: direct, trace (with reasoning), or both.")] = "both",
    rows: Annotated[int, typer.Option(min=0, help="At most so many of each set and category (0: all).")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of samples and intervals.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for report, answers and plots.")] = Path("build") / "eval",
    card: Annotated[bool, typer.Option("--card", help="Write what it is held to and reached into its card.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out that was cut off.")] = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Compare two such folders instead, paired.")
    ] = None,
    as_json: Json = False,
    model: options.Model = None,
    engine: options.Engine = None,
    config: options.Config = None,
    extra: options.Set = None,
) -> None:
    """Measure a model through the engine that serves: quality, policy following, reasoning, fairness, baselines."""
    settings = _settings(config, extra, model=model, engine=engine)
    from worker.commands import evaluate as command
    from worker.commands.train_reads import parse_papers

    wanted = command.EvalOptions(
        data=data,
        split=split,
        only=only,
        method=method,
        rows=rows,
        seed=seed,
        out=out,
        card=card,
        as_json=as_json,
        resume=resume,
        papers=parse_papers(paper or []),
    )
    if compare:
        command.compare_folders(*compare, wanted)
    else:
        command.evaluate(settings, wanted)


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


app.add_typer(policy_packs.app, name="policy")
app.add_typer(exceptions.app, name="exceptions")
app.add_typer(dlq.app, name="dlq")
app.add_typer(workers.app, name="workers")
app.add_typer(audit.app, name="audit")
app.add_typer(train.app, name="train")


def _settings(config: Path | None, extra: list[str] | None, **flags: object) -> Settings:
    settings = options.settings_from(config, extra, **flags)
    configure(settings.log_level)
    return settings


def main() -> None:
    """Run one command; exit 0 on success, 2 on wrong use, 1 on failure."""
    guard()
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
