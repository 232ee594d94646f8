"""What a person wrote, and what lets somebody in, through everything that a worker does: only where a policy wants it.

Every run of tests is swept (``tests/support/sweep.py``). Here each trace level, each way to fail and each
command stands once, so that the sweep has something to find.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.conftest import KafkaAddress
from tests.support import planted, policy_topics
from tests.support.commands import rsafe, rsafe_json
from tests.support.dataplane import (
    count,
    make_topics,
    message,
    read_all,
    running,
    send,
    settings_for,
    until_verdicts,
    verdict_of,
)
from tests.support.outside import environment, produce
from tests.support.pages import page
from tests.support.policy_topics import version_of
from tests.support.processes import line_with, started
from tests.support.replaying import NOW, outcomes, policy, replayed
from tests.support.waiting import wait_until
from worker.broker import _free_port
from worker.config import Settings
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.policy.store import PolicyStore
from worker.records import Message, TraceLevel, sha256_hex

pytestmark = pytest.mark.broker

LEVELS: Final[tuple[TraceLevel, ...]] = ("full", "redacted", "none")
U7: Final = {"id": "U7", "name": "Threats", "action": "block"}
#: What is no message, each with a planted word where a careless error text would quote it.
POISON: Final = (
    planted.WORDS.encode(),
    json.dumps({"tenant_id": planted.EMAIL, "message_id": "m", "text": planted.WORDS}).encode(),
    json.dumps({"tenant_id": "acme", "message_id": "m", "text": "t", "role": planted.NAME}).encode(),
    json.dumps({"tenant_id": "acme", "message_id": "m", "text": {planted.NAME: planted.EMAIL}}).encode(),
    json.dumps({"tenant_id": "acme", "message_id": "m", "text": "t", "created_at": planted.PHONE}).encode(),
    json.dumps({"tenant_id": "acme", "message_id": "m", "text": "t", "context": [{planted.NAME: 1}]}).encode(),
    b'{"tenant_id":"acme","message_id":"' + planted.CARD.encode() * 20 + b'","text":"t"}',
    b"\xff" + planted.WORDS.encode(),
)
#: What cannot come into force, likewise.
BAD_POLICIES: Final = (
    planted.WORDS.encode(),
    json.dumps({"title": planted.NAME * 20, "version": 9, "categories": [U7]}).encode(),
    json.dumps({"title": "T", "version": 9, "categories": [U7 | {"action": planted.EMAIL}]}).encode(),
    json.dumps({"title": "T", "version": 9, "categories": [U7], "on_failure": {planted.NAME: "hold"}}).encode(),
)


class Gossip(ScriptedJudge):
    """Quotes the message in its reasoning, and breaks with it in its mouth where the text says ``[bug]``."""

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge by the rules and repeat what was said."""
        if "[bug]" in message.text:
            raise KeyError(message.text)
        judgement = await super().judge(message, policy, priority=priority)
        quoted = f"They say: {message.text}"
        return msgspec.structs.replace(judgement, reasoning=quoted, raw=f"{quoted}\n{judgement.model_label}")


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings under which every message is rehearsed, their topics made."""
    made = settings_for(broker.bootstrap_servers, topic_prefix, shadow_share=1.0, instance_id="w1")
    await make_topics(made)
    return made


def records() -> Iterable[tuple[str, bytes]]:
    """Yield a policy of each level, live and under rehearsal, for the tenant of its name."""
    for level in LEVELS:
        yield level, policy(U7, trace=level, text=f"As {planted.NAME} wrote.")
        yield f"{level}#shadow", policy(U7, trace=level, title="Next")


async def judged(settings: Settings, texts: Iterable[str]) -> int:
    """Have each text of each tenant judged, live and by the rehearsal; return how many messages that were."""
    await policy_topics.publish(settings, *records())
    store = PolicyStore(settings)
    async with policy_topics.running(store), running(settings, Gossip(), store):
        await wait_until(lambda: all(version_of(store, level) and store.rehearsals(level, None) for level in LEVELS))
        sent = await send(settings, [message(n, text, level) for n, text in enumerate(texts) for level in LEVELS])
        await until_verdicts(settings, len(sent))

        async def rehearsed() -> bool:
            return await count(settings, "shadow-verdicts") >= len(sent)

        await wait_until(rehearsed, what="the rehearsal's verdicts")
    return len(sent)


def by_tenant(traces: Iterable[Any]) -> dict[str, list[dict[str, Any]]]:
    """Return traces as plain JSON, by their tenant."""
    found: dict[str, list[dict[str, Any]]] = {level: [] for level in LEVELS}
    for record in traces:
        one = verdict_of(record)
        found[one["tenant_id"]].append(one)
    return found


@pytest.mark.parametrize("kind", ["traces", "shadow-traces", "replay-traces"])
async def test_each_level_keeps_what_it_says(settings: Settings, kind: str) -> None:
    """Full keeps the words, redacted their digest alone, none no record; live, under rehearsal and in a replay."""
    messages = await judged(settings, ("hello", "[unsafe:U7]"))
    if kind == "replay-traces":
        run, _ = await replayed(settings, NOW, judge=Gossip())
        assert len(await outcomes(settings, run)) == messages
    found = by_tenant(await read_all(settings, kind))

    assert {level: len(traces) for level, traces in found.items()} == {"full": 2, "redacted": 2, "none": 0}
    assert all(planted.NAME in one["reasoning"] and planted.NAME in one["raw"] for one in found["full"])
    for full, bare in zip(*(sorted(found[level], key=str) for level in ("full", "redacted")), strict=True):
        assert (bare["reasoning"], bare["raw"], bare["level"]) == (None, None, "redacted")
        assert full["reasoning_digest"] == sha256_hex(full["reasoning"].encode())
        assert len(bare["reasoning_digest"]) == 64
    digests = {one["reasoning_digest"] for level in ("full", "redacted") for one in found[level]}
    assert len(digests) == 2
    verdicts = [verdict_of(record) for record in await read_all(settings, kind.replace("traces", "verdicts"))]
    assert {one["tenant_id"]: one["trace_id"] is None for one in verdicts} == {
        "full": False,
        "redacted": False,
        "none": True,
    }
    assert planted.found(json.dumps(verdicts)) == []


async def test_commands_follow_the_level(settings: Settings) -> None:
    """``explain`` has no words of a reasoning that was not kept; lists and exports have none of anybody."""
    await judged(settings, ("hello [unsafe:U7]",))
    explained = {level: await rsafe_json(settings, "audit", "explain", "m0", "--tenant", level) for level in LEVELS}
    exported = [await rsafe(settings, "audit", "export", "--format", kind) for kind in ("jsonl", "dsa")]
    verified = await rsafe(settings, "audit", "verify")

    assert planted.NAME in explained["full"]["reasoning"]["trace"]["reasoning"]
    assert planted.found(json.dumps(explained["redacted"]["reasoning"])) == []
    assert explained["redacted"]["reasoning"]["note"] == "the policy keeps no text of the reasoning"
    assert explained["none"]["reasoning"]["trace"] is None
    assert "They say" not in json.dumps([explained["redacted"], explained["none"]])
    for _, out, err in (*exported, verified):
        assert planted.found(out + err) == []


async def test_a_replays_report_has_no_words(settings: Settings, tmp_path: Path) -> None:
    """On the terminal, as JSON and as a page."""
    await judged(settings, ("hello [unsafe:U7]", "hello"))
    candidate, page = tmp_path / "full.json", tmp_path / "report.html"
    candidate.write_bytes(policy(U7 | {"id": "U8"}, version=2, text=planted.WORDS))

    asked = ("replay", "--policy", str(candidate), "--scope", "full", "--html", str(page), "--engine", "scripted")
    code, out, err = await rsafe(settings, *asked)

    assert code == 0, err
    assert "full" in page.read_text(encoding="utf-8")
    assert planted.found(out + err + page.read_text(encoding="utf-8")) == []


async def test_what_cannot_be_read_is_quoted_nowhere(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """Poison, refused policies and a judge that breaks: in logs, in headers and in lists stand places and kinds."""
    caplog.set_level("DEBUG", "worker")
    await policy_topics.publish(
        settings, ("acme", policy(U7)), *((f"bad{n}", raw) for n, raw in enumerate(BAD_POLICIES))
    )
    store = PolicyStore(settings)
    async with policy_topics.running(store), running(settings, Gossip(), store) as plane:
        await wait_until(lambda: version_of(store, "acme"))
        await send(settings, [*POISON, message(1, "[bug]"), message(2)])
        await until_verdicts(settings, 2)

        async def all_there() -> bool:
            return await count(settings, "dead-letters") == len(POISON) + len(BAD_POLICIES)

        await wait_until(all_there, what="dead letters")
        unready = plane.unready()
    listed = [await rsafe(settings, "dlq", "list", *options) for options in ((), ("--json",))]
    shown = await rsafe_json(settings, "dlq", "show", json.loads(listed[1][1].splitlines()[0])["place"])
    letters = await read_all(settings, "dead-letters")
    added = [header for letter in letters for header in letter.headers if header != planted.HEADER]

    assert [planted.found(bytes(value)) for _, value in added if planted.found(bytes(value))] == []
    assert "judging partition" in caplog.text
    assert "KeyError" in caplog.text
    assert planted.found(caplog.text + repr(unready)) == []
    for code, out, err in listed:
        assert (code, planted.found(out + err)) == (0, [])
    assert planted.found(json.dumps(shown)) != [], "whoever asks for one letter sees it whole"


async def counted(port: int) -> bool:
    """Return whether the metrics know the unsafe message and every dead letter; a partition may lag behind others."""
    metrics = await page(port, "metrics")
    letters = b'rsafe_dead_letters_total{stage="decode"} %d.0' % len(POISON)
    return b'rsafe_verdicts_total{label="unsafe",status="judged"} 1.0' in metrics and letters in metrics


async def test_a_worker_that_says_all_it_can_says_nothing(
    broker: KafkaAddress, topic_prefix: str, tmp_path: Path
) -> None:
    """A real process at ``debug`` with secrets in its environment: output, pages and ``doctor`` hold none of it."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings)
    await produce(broker.bootstrap_servers, f"{topic_prefix}policies", [(b"acme", policy(U7, text=planted.WORDS))])
    port = _free_port()
    env = environment(broker.bootstrap_servers, topic_prefix, engine="scripted", log_level="debug", web_port=port)
    log = tmp_path / "run.log"
    with started("run", log=log, env=env) as process:
        await line_with(log, "ready", process)
        await send(settings, [*POISON, message(1), message(2, "[unsafe:U7]"), message(3, "[fail:engine_error]")])
        await until_verdicts(settings, 3)
        await wait_until(lambda: counted(port), what="every message counted")
        # Each of them: of a page that was not read nothing would be proved.
        pages = [await wait_until(partial(page, port, name), what=name) for name in ("metrics", "livez", "readyz")]
        process.terminate()
        assert await asyncio.to_thread(process.wait, 40) == 0
    doctor = await rsafe(settings, "doctor", "--set", "engine=scripted", "--json")
    written = log.read_text(encoding="utf-8") + log.with_suffix(".err").read_text(encoding="utf-8")

    assert "DEBUG" in written
    assert planted.found(written) == []
    assert planted.found(b"".join(pages)) == []
    assert planted.found("".join(map(str, doctor))) == []
