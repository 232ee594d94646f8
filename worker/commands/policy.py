"""``rsafe policy``: publish, look at, check, test and undo the policies of platform and tenants."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from worker.commands import options, rehearsal
from worker.commands.common import tell
from worker.commands.options import settings_from
from worker.commands.policy_files import effective, policy_in, read_file
from worker.config import Settings
from worker.errors import PolicyInvalid, UsageError
from worker.policy import golden, lifecycle
from worker.policy.document import as_json, fields_of
from worker.policy.golden import Answer, CaseResult, GoldenReport
from worker.policy.history import read_policy
from worker.policy.lifecycle import DECISION_WAIT_S, Current, Published
from worker.policy.lint import Finding, lint
from worker.policy.lint_cost import Cost
from worker.policy.model import EffectivePolicy
from worker.policy.scope import Scope, State, parse, parse_argument
from worker.records import HistoryEntry, Message, Policy
from worker.show import visible

app: Final = typer.Typer(help="Policies of the platform, its tenants and their channels.", no_args_is_help=True)

#: Whom a file speaks for where neither its name nor a flag says it.
_SOME_TENANT: Final = "tenant"
_DIGEST_CHARS: Final = 12
_TITLE_CELLS: Final = 40
#: What it means that a worker accepted a record, by the state that its key names.
_ACCEPTED: Final[dict[State, str]] = {
    "live": "is in force",
    "shadow": "is under rehearsal",
    "draft": "is a valid draft",
}
_NOUNS: Final[dict[State, str]] = {"live": "policy", "shadow": "rehearsal", "draft": "draft"}

ScopeArg = Annotated[
    str, typer.Argument(metavar="SCOPE", help="platform, TENANT or TENANT/CHANNEL; #shadow or #draft: not live.")
]
FileArg = Annotated[str, typer.Argument(metavar="FILE", help="A policy as JSON or TOML; - reads standard input.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for a worker's decision.")]
FloorFile = Annotated[
    str | None, typer.Option("--floor", metavar="FILE", help="The platform's policy, which a tenant may only tighten.")
]
ForScope = Annotated[
    str | None, typer.Option("--scope", help="Whom the file speaks for; by default its name without the ending.")
]
CountWith = Annotated[
    str | None,
    typer.Option("--model", metavar="DIR", help="Count tokens with this model's tokenizer; else they are estimated."),
]


@app.command("put", epilog="Example: rsafe policy put lumen-games lumen-games.json")
def put_command(
    scope: ScopeArg,
    file: FileArg,
    bump: Annotated[bool, typer.Option("--bump", help="Take the next version, whatever the file says.")] = False,  # noqa: FBT002
    wait: Wait = DECISION_WAIT_S,
    as_json_output: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Publish a policy, and say whether it came into force. Without a version in FILE it takes the next one."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    raw = as_json(read_file(file))
    try:
        published = asyncio.run(lifecycle.put(settings, scope, raw, bump=bump, wait_s=wait))
    except PolicyInvalid as error:
        raise PolicyInvalid(error.field, f"{error.expected}; nothing was published") from None
    _say_published(published, as_json=as_json_output)


@app.command("get", epilog="Example: rsafe policy get lumen-games > lumen-games.json")
def get_command(
    scope: ScopeArg,
    as_json_output: Annotated[bool, typer.Option("--json", help="Print JSON on one line.")] = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Print the policy in force for a scope: JSON, byte for byte as it was published."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    policy = asyncio.run(lifecycle.get(settings, scope))
    # As it is, and not made harmless for a terminal: what is printed can be published again.
    print(msgspec.json.encode(fields_of(policy.encode())).decode() if as_json_output else policy)


@app.command("list", epilog="Example: rsafe policy list --json")
def list_command(
    as_json_output: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show every scope that has a policy, what became of its newest record, and how many workers hold it."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    rows = asyncio.run(lifecycle.current(settings))
    tell(rows, [_current_line(row) for row in rows], as_json=as_json_output)


@app.command("delete", epilog="Example: rsafe policy delete lumen-games/lobby")
def delete_command(
    scope: ScopeArg,
    wait: Wait = DECISION_WAIT_S,
    as_json_output: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Take a scope's policy away (a tombstone); its versions start again at 1."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    _say_published(asyncio.run(lifecycle.delete(settings, scope, wait_s=wait)), as_json=as_json_output)


@app.command("history", epilog="Example: rsafe policy history lumen-games")
def history_command(
    scope: ScopeArg,
    as_json_output: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Show every decision about a scope's policies, oldest first."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    entries = asyncio.run(lifecycle.history(settings, scope))
    tell(entries, [_history_line(entry) for entry in entries], as_json=as_json_output)


@app.command("rollback", epilog="Example: rsafe policy rollback lumen-games --to 3")
def rollback_command(
    scope: ScopeArg,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="VERSION|DIGEST", help="What to go back to; by default the last one that differs."
        ),
    ] = None,
    wait: Wait = DECISION_WAIT_S,
    as_json_output: Json = False,  # noqa: FBT002
    config: options.Config = None,
    bootstrap_servers: options.Bootstrap = None,
    topic_prefix: options.Prefix = None,
    extra: options.Set = None,
) -> None:
    """Publish the content of an earlier version under a new version."""
    settings = settings_from(config, extra, bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)
    _say_published(asyncio.run(lifecycle.rollback(settings, scope, to=to, wait_s=wait)), as_json=as_json_output)


@app.command("lint", epilog="Example: rsafe policy lint lumen-games.json --floor platform.json --model MODEL")
def lint_command(
    file: FileArg,
    floor: FloorFile = None,
    scope: ForScope = None,
    model: CountWith = None,
    as_json_output: Json = False,  # noqa: FBT002
) -> None:
    """Check a policy file without publishing it; exit 1 if it would be refused."""
    raw, who = as_json(read_file(file)), _scope_of(file, scope)
    cost = _counted(raw, who, floor, model) if model else None
    findings = lint(raw, who, policy_in(floor) if floor else None, cost)
    tell(findings, [_finding_line(finding) for finding in findings] or ["nothing to say"], as_json=as_json_output)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


def _counted(raw: bytes, scope: Scope, floor: str | None, model: str) -> Cost | None:
    """Count what stands before each message; None where the record cannot be read, which lint says itself."""
    # Here and not above: the tokenizer is a heavy library.
    from worker.judge.cost import Counter  # noqa: PLC0415
    from worker.judge.folder import find_model  # noqa: PLC0415

    counter = Counter(find_model(settings_from(None, None, model=model)))
    try:
        policy = read_policy(raw)
    except PolicyInvalid:
        return None
    return counter.cost(effective(policy, scope, floor))


@app.command("test", epilog="Example: rsafe policy test lumen-games.json --floor platform.json")
def golden_command(
    file: FileArg,
    floor: FloorFile = None,
    scope: ForScope = None,
    as_json_output: Json = False,  # noqa: FBT002
    model: options.Model = None,
    engine: options.Engine = None,
    config: options.Config = None,
    extra: options.Set = None,
) -> None:
    """Judge a policy's golden cases with the model; exit 1 if fewer than its min_pass are right."""
    settings = settings_from(config, extra, model=model, engine=engine)
    policy = policy_in(file)
    under = effective(policy, _scope_of(file, scope), floor)
    if not policy.golden:
        text = f'{file} has no golden cases; add \'golden\': [{{"text": ..., "label": "safe"}}]'
        raise UsageError(text)
    report = asyncio.run(_judge_cases(settings, policy, under))
    _say_report(report, as_json=as_json_output)
    if not report.ok:
        raise typer.Exit(1)


app.command("compare", epilog="Example: rsafe policy compare lumen-games --json")(rehearsal.compare_command)
app.command("promote", epilog="Example: rsafe policy promote lumen-games --max-disagreement 0.05 --watch")(
    rehearsal.promote_command
)


async def _judge_cases(settings: Settings, policy: Policy, effective: EffectivePolicy) -> GoldenReport:
    # Here and not above: a judge brings vLLM along, which takes seconds to import.
    from worker.judge.build import build_judge  # noqa: PLC0415
    from worker.judge.golden import answer_of  # noqa: PLC0415

    judge = build_judge(settings)

    async def ask(message: Message, under: EffectivePolicy) -> Answer:
        return answer_of(await judge.judge(message, under), under)

    try:
        await judge.start()
        return await golden.run_golden(policy, effective, ask)
    finally:
        await judge.stop()


def _scope_of(file: str, wanted: str | None) -> Scope:
    if wanted is not None:
        return parse_argument(wanted)
    try:
        return parse(Path(file).stem)
    except PolicyInvalid:
        return Scope(_SOME_TENANT)


def _say_published(published: Published, *, as_json: bool) -> None:
    """Print what became of a record.

    Raises:
        PolicyInvalid: a worker refused it.

    """
    version = "tombstone" if published.version is None else f"version {published.version}"
    state = parse(published.scope).state
    words = {
        "accepted": _ACCEPTED[state],
        "deleted": f"is in force: there is no {_NOUNS[state]} any more",
        "refused": "is refused",
        "undecided": "is published; no worker has decided yet",
    }
    line = f"{published.scope}: {version} at offset {published.offset} {words[published.decision]}"
    tell(published, [line], as_json=as_json)
    if published.decision == "refused":
        raise PolicyInvalid(published.field or "", published.reason or "a valid policy")


def _applied_words(row: Current) -> str:
    """Say how many workers hold what is in force, such as ``live on 3 of 3 workers after 0.4 s``."""
    applied = row.applied
    if applied is None:
        return ""
    if not applied.members:
        return "; no worker runs"
    held = "live on" if parse(row.scope).judges else "held by"
    after = "" if applied.after_s is None else f" after {applied.after_s:.1f} s"
    return f"; {held} {applied.workers} of {applied.members} workers{after}"


def _current_line(row: Current) -> str:
    version = "-" if row.version is None else f"v{row.version}"
    refusal = f" ({row.field or 'record'}: expected {row.reason})" if row.newest == "refused" else ""
    title = visible(row.title or "", _TITLE_CELLS)
    return (
        f"{visible(row.scope):<28} {version:>5}  {title:<{_TITLE_CELLS}}  newest: {row.newest}"
        f"{visible(refusal, 200)}{_applied_words(row)}"
    )


def _history_line(entry: HistoryEntry) -> str:
    version = "-" if entry.version is None else f"v{entry.version}"
    digest = (entry.digest or "")[:_DIGEST_CHARS]
    why = f"  {entry.field or 'record'}: expected {entry.reason}" if entry.decision == "refused" else ""
    when = entry.decided_at.isoformat(timespec="seconds")
    return f"{when}  offset {entry.offset:>6}  {version:>5}  {entry.decision:<8}  {digest:<{_DIGEST_CHARS}}{why}"


def _finding_line(finding: Finding) -> str:
    return visible(f"{finding.level}: {finding.field or 'record'}: {finding.message}", 200)


def _say_report(report: GoldenReport, *, as_json: bool) -> None:
    lines = [_case_line(result) for result in report.results]
    lines.append(f"{report.passed} of {len(report.results)} pass; {report.min_pass:.0%} must")
    data = {
        "passed": report.passed,
        "cases": len(report.results),
        "min_pass": report.min_pass,
        "ok": report.ok,
        "results": report.results,
    }
    tell(data, lines, as_json=as_json)


def _case_line(result: CaseResult) -> str:
    answer = result.answer
    wanted = " ".join((result.label, *result.categories))
    got = " ".join((answer.label or answer.status, *answer.hits))
    return f"{'pass' if result.passed else 'FAIL'}  golden[{result.index}]  wanted: {wanted}  got: {got}"
