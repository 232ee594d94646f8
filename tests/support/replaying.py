"""A log to replay: policies, messages, and the verdicts that a live data plane gave them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.support import planted, policy_topics
from tests.support.dataplane import read_all, running, send, until_verdicts, verdict_of
from worker.audit.replay import run as replay
from worker.audit.replay.plan import ReplayPlan
from worker.audit.replay.report import ReplayReport, make_report
from worker.config import Settings
from worker.judge.judgement import Judge
from worker.judge.scripted import ScriptedJudge
from worker.policy.store import PolicyStore
from worker.replay_records import ReplayFilter, ReplayPolicies, ReplayRun

U7: Final = {"id": "U7", "name": "Threats", "action": "block"}
U8: Final = {"id": "U8", "name": "Insults", "action": "hold"}
AS_JUDGED: Final = ReplayPolicies(mode="as-judged", history_end=0)
NOW: Final = ReplayPolicies(mode="now", history_end=0)
#: Hundreds of messages may be judged by a real engine, on a slow machine.
_PATIENCE_S: Final = 600.0


def policy(*categories: Mapping[str, Any], version: int = 1, **fields: Any) -> bytes:
    """Return a policy record as JSON."""
    known = {"title": "Rules", "version": version, "categories": categories, "author": planted.NAME}
    return json.dumps(known | fields).encode()


def text_of(number: int) -> str:
    """Return a text whose verdict depends on its number."""
    tags = ("", "[unsafe:U7]", "[unsafe:U8]", "[unsafe:U7][unsafe:U8]", "[fail:timeout]")
    return f"hello {tags[number % len(tags)]}"


def message(number: int, text: str | None = None, **fields: Any) -> bytes:
    """Return a message of one of two tenants, in one of two languages."""
    tenant, language = ("acme", "bazaar")[number % 2], ("en", "de")[number // 2 % 2]
    said = f"{text or text_of(number)} {planted.WORDS}"
    plain = {"tenant_id": tenant, "message_id": f"m{number}", "language": language, "text": said}
    return json.dumps(plain | fields).encode()


async def judged_live(
    settings: Settings,
    policies: Sequence[tuple[str, bytes | None]],
    values: Iterable[bytes | None],
    judge: Judge | None = None,
    expected: int | None = None,
) -> int:
    """Publish policies, let a live data plane judge messages under them; return how many verdicts there are then."""
    if policies:
        await policy_topics.publish(settings, *policies)
    store = PolicyStore(settings)
    async with policy_topics.running(store):
        sent = list(values)
        before = len(await read_all(settings, "verdicts"))
        async with running(settings, judge, store):
            await send(settings, sent)
            wanted = before + (len(sent) if expected is None else expected)
            await until_verdicts(settings, wanted, _PATIENCE_S)
    return wanted


async def replayed(
    settings: Settings,
    policies: ReplayPolicies = AS_JUDGED,
    wanted: ReplayFilter | None = None,
    *,
    judge: Judge | None = None,
    control_share: float = 0.0,
    offsets: dict[int, tuple[int, int | None]] | None = None,
) -> tuple[ReplayRun, ReplayReport]:
    """Replay, and report on it."""
    chosen = judge or ScriptedJudge()
    asked = ReplayPlan(
        offsets=offsets or {}, filter=wanted or ReplayFilter(), policies=policies, control_share=control_share
    )
    run = await replay.start_run(settings, asked, chosen)
    last = await asyncio.wait_for(replay.work(settings, run, chosen), _PATIENCE_S)
    return last, await make_report(settings, last)


async def outcomes(settings: Settings, run: ReplayRun) -> list[dict[str, Any]]:
    """Return everything that a run has published, its control left out."""
    found = [verdict_of(record) for record in await read_all(settings, "replay-verdicts")]
    return [one for one in found if one["run_id"] == run.run_id]


async def originals(settings: Settings) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the live verdicts by the place of their message."""
    found = [verdict_of(record) for record in await read_all(settings, "verdicts")]
    return {(one["source"]["partition"], one["source"]["offset"]): one for one in found}
