"""``rsafe replay``: judge a range of the log again, and say what would have been otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console

from worker.audit.comparison import Labels
from worker.audit.replay import plan as plans
from worker.audit.replay import report_html, report_show
from worker.audit.replay import run as engine
from worker.audit.replay.plan import ReplayPlan, Wanted
from worker.audit.replay.report import ReplayReport, make_report, read_labels, summary
from worker.commands.common import time_ms
from worker.config import Settings
from worker.errors import AuditError, PolicyInvalid, UsageError, WorkerError
from worker.judge.build import build_judge
from worker.policy.document import as_json
from worker.policy.scope import Scope, parse
from worker.replay_records import ReplayFilter, ReplayPolicies, ReplayRun

_OFFSETS: Final = re.compile(r"(\d{1,9})(?::(\d{1,18})-(\d{0,18}))?")
#: Options that say what to replay, by their flags.
_PLANS: Final = {
    "time_from": "--from",
    "time_to": "--to",
    "offsets": "--offsets",
    "tenants": "--tenant",
    "channels": "--channel",
    "labels": "--label",
    "categories": "--category",
    "policy": "--policy",
    "scope": "--scope",
    "control": "--control",
}
#: Live workers on the same machine go first.
_NICENESS: Final = 10


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """What to replay, and what to make of it; see ``rsafe replay --help``."""

    time_from: str | None = None
    time_to: str | None = None
    offsets: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    policy: str = "as-judged"
    scope: str | None = None
    control: float | None = None
    max_in_flight: int = engine.MAX_IN_FLIGHT
    join: str | None = None
    report: str | None = None
    labels_file: Path | None = None
    html: Path | None = None
    as_json: bool = False


def replay(settings: Settings, options: ReplayOptions) -> None:
    """Start a run, join one, or only report on one; then print the report.

    Raises:
        UsageError: options that are no times, offsets, filters, policies or labels.
        PolicyInvalid: the file's policy could not come into force.
        AuditError: there is nothing to replay, or the run stopped before its end.
        WorkerError: Kafka is away, or the model cannot be served.

    """
    # Wrong options are said before an engine is built.
    labels = read_labels(options.labels_file) if options.labels_file is not None else None
    if options.join or options.report:
        _refuse_plan(options)
    plan = None if options.join or options.report else plan_of(options)
    # Standard output is for the report alone, whatever a library prints.
    with contextlib.redirect_stdout(sys.stderr):
        report = asyncio.run(_replay(settings, options, plan, labels))
    if options.html is not None:
        _write_html(options.html, report)
    if options.as_json:
        print(msgspec.json.encode(report).decode())
    else:
        report_show.show(report)


def _refuse_plan(options: ReplayOptions) -> None:
    """Refuse options that say what to replay: a run that was started keeps to its own.

    Raises:
        UsageError: there is one.

    """
    given = [flag for name, flag in _PLANS.items() if getattr(options, name) != getattr(ReplayOptions(), name)]
    if given:
        text = f"{given[0]} does not go with --join or --report: a run keeps to what it was started with; leave it out"
        raise UsageError(text)


def list_runs(settings: Settings, *, as_json: bool) -> None:
    """Print every replay, oldest first.

    Raises:
        StreamError: Kafka is away, or the topic is missing.

    """
    found: dict[str, ReplayRun] = {}
    for run in asyncio.run(plans.read_runs(settings)):
        # The first record of a run, and then the first one that ends it.
        if run.run_id not in found or (run.state == "finished" and found[run.run_id].state == "started"):
            found[run.run_id] = run
    rows = [summary(run) for run in found.values()]
    if as_json:
        print(msgspec.json.encode(rows).decode())
    else:
        report_show.show_runs(rows)


def plan_of(options: ReplayOptions) -> ReplayPlan:
    """Return what the options ask for.

    Raises:
        UsageError: they are no times, offsets, labels or policy.
        PolicyInvalid: the file is neither JSON nor TOML.

    """
    policies, scope = _policies(options)
    return ReplayPlan(
        offsets=dict(_offsets(text) for text in options.offsets),
        filter=_filter(options, scope),
        policies=policies,
        control_share=options.control,
    )


def _filter(options: ReplayOptions, scope: Scope | None) -> ReplayFilter:
    tenants, channels = options.tenants, options.channels
    if scope is not None and not scope.is_floor:
        # Nobody else's verdicts can change.
        tenants = tenants or (scope.tenant,)
        channels = channels or ((scope.channel,) if scope.channel else ())
    wanted = {
        "tenants": tenants,
        "channels": channels,
        "labels": options.labels,
        "categories": options.categories,
        "from_ms": time_ms(options.time_from),
        "to_ms": time_ms(options.time_to),
    }
    try:
        return msgspec.convert(wanted, ReplayFilter)
    except msgspec.ValidationError as error:
        field = next((name for name in ("tenant", "channel", "label") if f"{name}s" in str(error)), "category")
        text = f"--{field}: expected {'safe or unsafe' if field == 'label' else 'a name as in messages'}"
        raise UsageError(text) from None


def _policies(options: ReplayOptions) -> tuple[ReplayPolicies, Scope | None]:
    if options.policy in {"as-judged", "now"}:
        if options.scope is not None:
            text = "--scope goes with --policy FILE: it says whom the file speaks for"
            raise UsageError(text)
        return ReplayPolicies(mode="now" if options.policy == "now" else "as-judged", history_end=0), None
    path = Path(options.policy)
    try:
        scope = parse(options.scope or path.stem)
    except PolicyInvalid as error:
        text = f"--scope is not {error.expected}"
        raise UsageError(text) from None
    try:
        raw = as_json(path.read_bytes())
        text = raw.decode()
    except (OSError, UnicodeDecodeError):
        problem = f"--policy {options.policy!r} is neither 'as-judged' nor 'now' nor a file that can be read"
        raise UsageError(problem) from None
    return ReplayPolicies(mode="file", history_end=0, scope=scope.live, policy=text), scope


def _offsets(text: str) -> tuple[int, Wanted]:
    found = _OFFSETS.fullmatch(text)
    if not found or (found[2] and found[3] and int(found[2]) > int(found[3])):
        problem = f"--offsets {text!r} is not PARTITION or PARTITION:FROM-TO, TO excluded; for example 3:100-200"
        raise UsageError(problem)
    return int(found[1]), (int(found[2] or 0), int(found[3]) if found[3] else None)


async def _replay(
    settings: Settings, options: ReplayOptions, plan: ReplayPlan | None, labels: Labels | None
) -> ReplayReport:
    if options.report is not None:
        run = await plans.find_run(settings, options.report)
    else:
        run = await _work(settings, options, plan)
    return await make_report(settings, run, labels)


async def _work(settings: Settings, options: ReplayOptions, plan: ReplayPlan | None) -> ReplayRun:
    os.nice(_NICENESS)
    judge = build_judge(settings)
    run = None
    try:
        with _stopped_by_sigterm(), Console(stderr=True).status("planning the replay, loading the model") as status:
            if plan is None:
                assert options.join is not None
                run = await engine.join_run(settings, options.join, judge)
            else:
                run = await engine.start_run(settings, plan, judge)
            print(f"replay {run.run_id}; after a crash: rsafe replay --join {run.run_id}", file=sys.stderr, flush=True)
            progress = _progress(run, status.update)
            return await engine.work(settings, run, judge, max_in_flight=options.max_in_flight, on_outcome=progress)
    except (WorkerError, asyncio.CancelledError) as error:
        if run is None or isinstance(error, (AuditError, UsageError)):
            raise
        why = str(error) or "stopped"
        text = f"{why}; go on with 'rsafe replay --join {run.run_id}'"
        raise AuditError(text) from error
    finally:
        await judge.stop()


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end the run in good order: the group is left, so another worker need not wait for a session."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _progress(run: ReplayRun, say: Callable[[str], None]) -> Callable[[], None]:
    offsets = sum(part.end - part.start for part in run.ranges)
    done = 0

    def on_outcome() -> None:
        nonlocal done
        done += 1
        say(f"{run.run_id}: {done} judged here, of at most {offsets}")

    return on_outcome


def _write_html(path: Path, report: ReplayReport) -> None:
    try:
        path.write_text(report_html.page(report), encoding="utf-8")
    except OSError as error:
        text = f"--html {path} cannot be written ({error.strerror}); the report is kept: rsafe replay --report RUN"
        raise UsageError(text) from None
