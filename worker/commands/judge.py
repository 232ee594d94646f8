"""``rsafe judge``: one message, one policy, one verdict with its reasoning; no Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct
from rich.console import Console

from worker.config import Settings
from worker.demo.samples import policy_bytes
from worker.errors import DecodeError, UsageError
from worker.judge.build import build_judge
from worker.judge.judgement import Judge
from worker.judge.verdict import Attempt, verdict
from worker.policy.accept import Setting, check
from worker.policy.combine import as_if_in_force
from worker.policy.document import as_json
from worker.policy.history import read_policy
from worker.policy.model import EffectivePolicy
from worker.policy.scope import Scope
from worker.records import PLATFORM, Message, Role, Source, Timing, Trace, Verdict, decode_message
from worker.show import visible

_NO_SOURCE: Final = Source(topic=None, partition=None, offset=None, timestamp=None)
_LINE_CELLS: Final = 160
_MS: Final = 1000.0


class JudgeOptions(Struct, frozen=True, kw_only=True):
    """What to judge, and how to print it.

    ``text`` may be ``-`` for standard input; ``context`` holds earlier turns as ``ROLE: TEXT``;
    without a ``policy_file`` the demonstration's floor is judged by.
    """

    text: str
    policy_file: str | None = None
    role: str = "user"
    context: tuple[str, ...] = ()
    tenant: str = "local"
    as_json: bool = False


class Printed(Struct, frozen=True, kw_only=True):
    """What ``--json`` prints."""

    verdict: Verdict
    trace: Trace | None


def judge(settings: Settings, options: JudgeOptions) -> None:
    """Judge one message and print the verdict, whatever it is.

    Raises:
        UsageError: a file cannot be read, or role, tenant or a turn are not such.
        PolicyInvalid: the file is no policy that could come into force.
        WorkerError: the model cannot be served.

    """
    message = _message(options)
    policy = _policy(options)
    # Standard output is for the verdict alone, whatever a library prints.
    with contextlib.redirect_stdout(sys.stderr):
        printed = asyncio.run(_judge(settings, message, policy))
    if options.as_json:
        print(msgspec.json.encode(printed).decode())
    else:
        _print(printed, policy, options)


def _message(options: JudgeOptions) -> Message:
    text = options.text
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").removesuffix("\n")
    fields: dict[str, Any] = {
        "tenant_id": options.tenant,
        "message_id": uuid.uuid4().hex,
        "text": text,
        "role": options.role,
        "context": [_turn(turn) for turn in options.context],
    }
    # By way of JSON: the same reader as the worker's refuses and repairs the same things.
    try:
        return decode_message(json.dumps(fields).encode())
    except DecodeError as error:
        problem = f"--{error.field.removesuffix('_id')}: expected {error.expected}"
        raise UsageError(problem) from None


def _turn(turn: str) -> dict[str, str]:
    role, colon, text = turn.partition(":")
    if not colon or role.strip() not in get_args(Role):
        example = "--context 'user: Where do you live?'"
        problem = f"--context {visible(turn)!r} is not 'user: TEXT' or 'agent: TEXT'; for example {example}"
        raise UsageError(problem)
    return {"role": role.strip(), "text": text.removeprefix(" ")}


def _policy(options: JudgeOptions) -> EffectivePolicy:
    scope = Scope(PLATFORM if options.policy_file is None else options.tenant)
    record = read_policy(as_json(_read(options.policy_file)))
    check(record, scope, Setting())
    return as_if_in_force(scope.live, record)


def _read(file: str | None) -> bytes:
    if file is None:
        return policy_bytes(PLATFORM)
    try:
        return Path(file).read_bytes()
    except OSError as error:
        text = f"{file} cannot be read ({error.strerror}); give a policy as JSON or TOML"
        raise UsageError(text) from None


async def _judge(settings: Settings, message: Message, policy: EffectivePolicy) -> Printed:
    judge = build_judge(settings)
    try:
        await _start(judge)
        began_s = time.perf_counter()
        judgement = await judge.judge(message, policy)
        took_s = time.perf_counter() - began_s
    finally:
        await judge.stop()
    attempt = Attempt(
        message=message,
        source=_NO_SOURCE,
        mode="live",
        run_id=None,
        trace_id=uuid.uuid4().hex,
        model=judge.model,
        timing=Timing(
            queue_ms=None,
            engine_ms=round(judgement.engine_ms, 3),
            total_ms=round(took_s * _MS, 3),
        ),
    )
    record, trace = verdict(attempt, judgement, policy)
    return Printed(verdict=record, trace=trace)


async def _start(judge: Judge) -> None:
    """Start the judge, and show on standard error that something happens."""
    console = Console(stderr=True)
    with console.status(f"loading {judge.model.name}; this takes about half a minute"):
        await judge.start()


def _print(printed: Printed, policy: EffectivePolicy, options: JudgeOptions) -> None:
    record = printed.verdict
    score = "" if record.score is None else f"  score {record.score:.3f} ({record.score_method})"
    print(f"{record.label or record.status}{score}  action {record.action}")
    names = {(item.scope, item.id): item.name for item in policy.judging.categories}
    for item in record.categories:
        name = visible(f"{item.id} {names[item.scope, item.id]}", _LINE_CELLS)
        print(f"{'hit' if item.hit else 'cited, below its threshold'}: {name} ({item.severity})")
    if record.clauses:
        print(f"clauses: {visible(', '.join(record.clauses), _LINE_CELLS)}")
    if printed.trace is not None and printed.trace.reasoning:
        lines = printed.trace.reasoning.splitlines()
        print("reasoning:", *(f"  {visible(line, len(line) + 1)}" for line in lines), sep="\n")
    source = options.policy_file or "the demonstration's floor; give your own with --policy FILE"
    print(f"policy: {source}")
    print(f"model: {record.model.name}")
