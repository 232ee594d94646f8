"""``rsafe audit explain`` on a real broker: everything behind a verdict, also after compaction."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka.admin import NewTopic
from msgspec import structs

from tests.conftest import KafkaAddress
from tests.support import planted
from tests.support import policy_topics as topics
from tests.support.dataplane import (
    make_topics,
    message,
    read_all,
    running,
    send,
    settings_for,
    until_verdicts,
    verdict_of,
)
from tests.support.fake_engine import FakeEngine, Script
from tests.support.policies import category, raw
from tests.support.processes import ROOT
from tests.support.tiny_model import save_tokenizer, tiny_tokens
from tests.support.waiting import wait_until
from worker.audit.explain import find
from worker.audit.explain.explain import Explanation, explain
from worker.audit.explain.find import Hint
from worker.audit.retract import retract
from worker.audit.standing import Wanted
from worker.config import Settings
from worker.errors import AuditError, UsageError
from worker.judge.judge import RsafeJudge
from worker.policy.store import PolicyStore
from worker.records import Clause
from worker.secret import Secret

pytestmark = pytest.mark.broker

FLOOR: Final = raw(category("U7", "Hate", action="block"), title="Floor", author="the platform")
CLAUSES: Final = (Clause(id="c1", text="Sells things."), Clause(id="c2", text="Sells them twice."))


def spam(version: int, action: str) -> bytes:
    """Return a tenant's policy."""
    return raw(category("SPAM", "Spam", action=action, violates=CLAUSES), version=version, title="Own", author="dana")


@asynccontextmanager
async def judging(settings: Settings) -> AsyncIterator[None]:
    """Run a data plane with live policies and a real judge, whose engine answers from a table."""
    reasoning = "SPAM met by SPAM/c2; so unsafe."
    script = Script(reasoning=reasoning, answer="unsafe} SPAM", p_unsafe=0.9)
    engine = FakeEngine(tiny_tokens()[0], lambda text: script if "buy" in text and "SPAM" in text else Script())
    judge = RsafeJudge(settings, lambda *_: engine)
    await judge.start()
    store = PolicyStore(settings)
    async with topics.running(store), running(settings, judge, store):
        yield


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str, tmp_path: Path) -> Settings:
    """Topics that compact eagerly, and a model folder without weights."""
    save_tokenizer(tmp_path / "model")
    chosen = settings_for(
        broker.bootstrap_servers, topic_prefix, engine="vllm", model=str(tmp_path / "model"), max_num_seqs=4
    )
    eager = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"} | topics.EAGER
    async with topics.admin(chosen) as client:
        await client.create_topics([NewTopic(chosen.topic("policies"), 1, 1, topic_configs=eager)])
    await make_topics(chosen, 2)
    return chosen


async def verdicts_of(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the verdicts by message."""
    return {one["message_id"]: one for one in map(verdict_of, await read_all(settings, "verdicts"))}


@pytest.mark.slow
async def test_everything_behind_a_verdict(settings: Settings) -> None:
    """Message, policy, clause, prompt and reasoning; and the same after ``policies`` has forgotten the policy."""
    await topics.publish(settings, ("platform", FLOOR), ("acme", spam(1, "hold")))
    async with judging(settings):
        await send(settings, [message(1, "buy this"), message(2, "hello there")], partition=1)
        await until_verdicts(settings, 2)
        await topics.publish(settings, ("acme", spam(2, "label")))
        await wait_until(lambda: has_decisions(settings, 3))
    verdicts = await verdicts_of(settings)
    found = await explain(settings, verdicts["m1"]["verdict_id"])

    check(found)

    async def compacted() -> bool:
        # Each record may close the segment before it, and only closed ones are compacted.
        await topics.publish(settings, ("filler", b"no policy"))
        return 1 not in {record.offset for record in await topics.read_all(settings, "policies")}

    await wait_until(compacted, 180, interval_s=0.5, what="offset 1 is compacted away")
    again = await explain(settings, "m1", "acme", Hint(partition=1, offset=0))
    other = await explain(settings, "m2", "acme")

    check(again)
    assert again == found
    assert other.deciding is not None
    assert (other.deciding.rule, other.deciding.action) == ("nothing_hit", "allow")
    assert other.prompt.agrees is True


async def has_decisions(settings: Settings, count: int) -> bool:
    """Tell whether so many decisions about policies were made."""
    return len(await topics.history(settings)) >= count


def check(found: Explanation) -> None:
    """Assert what must be known of the message that was for sale."""
    assert found.message.message is not None
    assert found.message.message.text == f"buy this {planted.WORDS}"
    assert found.policy.effective is not None
    assert found.deciding is not None
    assert (found.deciding.rule, found.deciding.action, found.deciding.agrees) == ("category", "hold", True)
    (decided,) = found.deciding.categories
    assert (decided.scope, decided.id) == ("acme", "SPAM")
    assert [(clause.id, clause.text) for clause in decided.clauses] == [("SPAM/c2", "Sells them twice.")]
    assert (found.prompt.agrees, found.prompt.rebuilt) == (True, found.verdict.prompt_digest)
    # Floor and tenant have a call each, since the tenant wrote prose.
    assert ["Hate" in text for text in found.prompt.texts] == [True, False]
    assert found.reasoning.trace is not None
    assert "SPAM met by SPAM/c2" in (found.reasoning.trace.reasoning or "")
    assert found.reasoning.agrees is True
    floor, own = found.policy.parts
    assert (floor.scope, floor.author, floor.in_force, floor.until_ms) == ("platform", "the platform", True, None)
    assert (own.scope, own.version, own.author, own.in_force, own.replaced_by) == ("acme", 1, "dana", True, 2)


async def test_a_keyed_digest_is_compared_by_who_has_the_key(settings: Settings) -> None:
    """The prompt is built again and its HMAC agrees; without ``digest_key`` explain says what is lacking."""
    await topics.publish(settings, ("platform", FLOOR), ("acme", spam(1, "hold")))
    keyed = structs.replace(settings, digest_key=Secret("not a real secret, but long enough"))
    async with judging(keyed):
        await send(settings, [message(1, "buy this")])
        await until_verdicts(settings, 1)
    found, blind = await explain(keyed, "m1", "acme"), await explain(settings, "m1", "acme")
    other = await explain(
        structs.replace(settings, digest_key=Secret("the key after it was changed, long")), "m1", "acme"
    )

    assert (found.verdict.digest_method, found.prompt.agrees, found.reasoning.agrees) == ("hmac-sha256", True, True)
    assert blind.prompt.note == "the digest is keyed; set digest_key to compare it"
    assert (blind.prompt.agrees, blind.reasoning.agrees) == (None, None)
    assert (other.prompt.agrees, other.reasoning.agrees) == (False, False)
    assert "set the digest_key that it was made under" in (other.prompt.note or "")
    assert "set the digest_key that it was made under" in (other.reasoning.note or "")


async def test_a_retraction_is_explained_however_late_it_came(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the reasoning of the verdict that was first, and no policy gave its action; so has what supersedes it."""
    # Any moment between a trace and a retraction is later than this.
    monkeypatch.setattr(find, "CLOCK_SLACK_MS", 0)
    await topics.publish(settings, ("platform", FLOOR), ("acme", spam(1, "hold")))
    async with judging(settings):
        await send(settings, [message(1, "buy this")])
        await until_verdicts(settings, 1)
    await retract(settings, "acme@1", Wanted(), "label", publish=True)
    await retract(settings, "acme@1", Wanted(), "allow", publish=True)
    first, *later = [verdict_of(record)["verdict_id"] for record in await read_all(settings, "verdicts")]
    original, *found = [await explain(settings, wanted) for wanted in (first, *later)]

    assert original.deciding is not None
    assert (original.deciding.rule, len(original.others)) == ("category", 1)
    assert [one.verdict.verdict_id for one in found] == later
    assert [one.verdict.action for one in found] == ["label", "allow"]
    for one, replaced in zip(found, (first, later[0]), strict=True):
        assert one.deciding is not None
        assert (one.deciding.rule, one.deciding.agrees) == ("retraction", True)
        assert replaced in one.deciding.text
        assert one.reasoning.trace is not None
        assert (one.reasoning.trace.verdict_id, one.reasoning.agrees) == (first, True)
        assert one.prompt.agrees is True


async def test_what_cannot_be_found_says_what_to_do(settings: Settings) -> None:
    """An unknown id, a message without its tenant, an offset without its partition, an unknown partition."""
    with pytest.raises(AuditError, match=r"no verdict of 0{32}.*rsafe dlq list"):
        await explain(settings, "0" * 32)
    with pytest.raises(UsageError, match="add --tenant"):
        await explain(settings, "m1")
    with pytest.raises(UsageError, match="add --partition"):
        Hint(offset=1)
    with pytest.raises(UsageError, match="no partition 9"):
        await explain(settings, "m1", "acme", Hint(partition=9))


async def test_the_command_prints_for_people_and_for_programs(settings: Settings) -> None:
    """JSON has everything; the panels say why, and no text moves the cursor."""
    await topics.publish(settings, ("platform", FLOOR), ("acme", spam(1, "hold")))
    async with judging(settings):
        await send(settings, [message(1, "buy this \x1b[2J now")])
        await until_verdicts(settings, 1)
    code, out, err = await rsafe(settings, "m1", "--tenant", "acme", "--json")
    printed = json.loads(out)
    _, shown, _ = await rsafe(settings, "m1", "--tenant", "acme")

    assert code == 0, err
    assert printed["prompt"]["agrees"] is True
    assert printed["verdict"]["message_id"] == "m1"
    assert printed["policy"]["effective"]["categories"][1]["id"] == "SPAM"
    assert "category SPAM of acme was hit and asks for hold" in shown
    assert "built again, digests agree" in shown
    assert "\x1b[2J" not in shown


async def rsafe(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    """Run ``rsafe audit explain`` and return exit code, standard output and standard error."""
    env = {
        "RSAFE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RSAFE_TOPIC_PREFIX": settings.topic_prefix,
        "RSAFE_MODEL": settings.model,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", "audit", "explain", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | env,
        cwd=ROOT,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()
