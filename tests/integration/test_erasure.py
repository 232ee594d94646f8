"""Erasure on a real broker: one author's words become unreadable wherever we wrote them, another's stay."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import UNSET, structs

from tests.conftest import KafkaAddress
from tests.support import policy_topics
from tests.support.commands import rsafe, rsafe_json
from tests.support.dataplane import count, make_topics, read_all, running, send, until_verdicts, verdict_of
from tests.support.erasing import (
    TENANT,
    WORDS,
    QuotingJudge,
    at_least,
    compacted,
    judged,
    make_sealing_topics,
    poison_by,
    sealing_settings,
    secrets_of,
    topics_with,
    variables,
    written_by,
)
from tests.support.replaying import U7, policy, replayed
from tests.support.waiting import wait_until
from worker.audit.erasing import erase as erasing
from worker.audit.erasing.holds import Request
from worker.audit.explain.explain import explain
from worker.audit.explain.find import Hint
from worker.audit.overrides.log import override, read_overrides
from worker.audit.overrides.overrides import Ruling
from worker.audit.span import Span
from worker.audit.standing import Wanted
from worker.audit.verify.integrity import with_integrity
from worker.audit.verify.verify import verify
from worker.client import read_trace
from worker.config import Settings
from worker.dlq.topic import letters
from worker.erasure.records import Erasure
from worker.erasure.sealed_words import opened_trace, sealed_keys
from worker.erasure.subject_keys import ERASURES, KEYS, read_keys
from worker.erasure.subjects import Subject
from worker.errors import UsageError, WrongDigestKey
from worker.policy.store import PolicyStore
from worker.secret import Secret
from worker.stream.delivery import Delivery

pytestmark = pytest.mark.broker

ALICE: Final = ("--tenant", TENANT, "--author", "alice")


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Topics, and an environment in which commands seal as workers do."""
    chosen = sealing_settings(broker.bootstrap_servers, topic_prefix)
    for name, value in variables(chosen).items():
        monkeypatch.setenv(name, value)
    await make_sealing_topics(chosen)
    return chosen


async def erase(settings: Settings, *arguments: str) -> dict[str, Any]:
    """Erase by the command, and return the receipt."""
    return dict(await rsafe_json(settings, "audit", "erase", *arguments, "--yes", "--by", "dana"))


async def erase_alice(settings: Settings) -> Erasure:
    """Erase without the command line, which takes seconds to start."""
    return await erasing.erase(settings, Request(subject=Subject("author", TENANT, "alice"), by="dana"), counting=False)


async def assert_clean(settings: Settings, checked: int) -> None:
    """Assert that the ledger verifies, digests included."""
    report, logs = await verify(settings, Span())
    report = await with_integrity(settings, report, logs, None)
    assert (report.ok, report.checked) == (True, checked)


async def reasoning_of(settings: Settings, message_id: str) -> tuple[str | None, str | None]:
    """Return what ``explain`` shows of a reasoning, and what it says in place of it."""
    found = (await explain(settings, message_id, TENANT)).reasoning
    assert found.trace is not None
    return found.trace.reasoning, found.erased


def erased_by(receipt: dict[str, Any]) -> str:
    """Return the note that an erasure leaves in place of words."""
    return f"erased on {dt.datetime.fromisoformat(receipt['at']).astimezone(dt.UTC).date()}"


@pytest.mark.slow
async def test_one_author_is_erased_and_another_is_not(settings: Settings) -> None:
    """All is sealed; after erasure and forced compaction one author is unreadable, and the ledger still verifies."""
    values = [written_by("alice", 1, "[unsafe:U7]"), written_by("bob", 1), poison_by("alice"), poison_by("bob")]
    await judged(settings, [*values, written_by("alice", 2)], letters=2)

    assert {name: await topics_with(settings, words) for name, words in WORDS.items()} == {
        "alice": {"messages"},
        "bob": {"messages"},
    }
    for author in WORDS:
        shown, erased = await reasoning_of(settings, f"{author}-1")
        assert (WORDS[author] in (shown or ""), erased) == (True, None)
    before = await letters(settings)
    assert {one.value for one in before} == {poison_by("alice"), poison_by("bob")}
    assert {one.unreadable for one in before} == {None}

    receipt = await erase(settings, *ALICE)
    assert (receipt["state"], receipt["kind"], receipt["by"]) == ("done", "author", "dana")
    assert receipt["keys"] == 1
    assert "alice" not in json.dumps(receipt)
    await compacted(settings, "alice")

    assert (await reasoning_of(settings, "alice-1"))[1] == erased_by(receipt)
    assert (await reasoning_of(settings, "alice-2"))[1] == erased_by(receipt)
    assert (await reasoning_of(settings, "alice-1"))[0] is None
    assert WORDS["bob"] in ((await reasoning_of(settings, "bob-1"))[0] or "")
    after = await letters(settings)
    assert {one.value for one in after} == {None, poison_by("bob")}
    (gone,) = [one for one in after if one.value is None]
    assert gone.unreadable == erased_by(receipt)
    code, refused, _ = await rsafe(settings, "dlq", "redrive", "/".join(map(str, gone.place)))
    assert (code, "nobody can read it here (erased on" in refused) == (1, True)
    await assert_clean(settings, 5)
    assert await topics_with(settings, WORDS["alice"]) == {"messages"}


@pytest.mark.slow
async def test_records_say_that_they_are_sealed_and_digests_are_keyed(settings: Settings) -> None:
    """Fields that others read stay where they are; what could be guessed is an HMAC, which explain still compares."""
    await judged(settings, [written_by("alice", 1)])
    (trace,) = [read_trace(record) for record in await read_all(settings, "traces")]
    (verdict,) = [verdict_of(record) for record in await read_all(settings, "verdicts")]
    found = await explain(settings, "alice-1", TENANT)
    blind = await explain(structs.replace(settings, erasure="off", digest_key=Secret()), "alice-1", TENANT)

    assert (trace.reasoning, trace.raw, trace.level) == (None, None, "full")
    assert trace.sealed is not UNSET
    assert (trace.digest_method, verdict["digest_method"]) == ("hmac-sha256", "hmac-sha256")
    assert found.reasoning.agrees is True
    assert blind.reasoning.agrees is None


@pytest.mark.slow
async def test_a_hold_blocks_erasure_and_says_so(settings: Settings, tmp_path: Path) -> None:
    """Who is held is not erased, planned or done, until the hold is deleted; the list holds no id of a person."""
    await judged(settings, [written_by("alice", 1)])
    held = await rsafe_json(settings, "audit", "hold", "put", *ALICE, "--by", "lee", "--reason", "case 4711")
    listed = await rsafe_json(settings, "audit", "hold", "list")
    for arguments in ((), ("--yes",)):
        code, _, err = await rsafe(settings, "audit", "erase", *ALICE, *arguments)
        assert code == 1
        assert "legal hold" in err
        assert "put by lee (case 4711)" in err
        assert "rsafe audit hold delete" in err
    assert [one["subject"] for one in listed] == [held["subject"]]
    assert "alice" not in json.dumps(listed)
    assert await secrets_of(settings, "alice")

    await rsafe_json(settings, "audit", "hold", "delete", *ALICE)
    code, _, err = await rsafe(settings, "audit", "hold", "delete", *ALICE)
    assert (code, "under no hold" in err) == (2, True)
    plan = await rsafe_json(settings, "audit", "erase", *ALICE, "--count")
    assert (plan["keys"], plan["counted"]["messages"], plan["counted"]["records"]["traces"]) == (1, 1, 1)
    assert await reasoning_of(settings, "alice-1") != (None, None)
    file = tmp_path / "receipt.json"
    receipt = await erase(settings, *ALICE, "--receipt", str(file))
    assert json.loads(file.read_bytes()) == receipt
    code, _, err = await rsafe(settings, "audit", "erase", *ALICE, "--yes", "--receipt", str(file))
    assert (code, "is there already" in err) == (2, True)
    assert (await reasoning_of(settings, "alice-1"))[1] == erased_by(receipt)


async def test_the_receipt_says_until_when_messages_holds_the_text(settings: Settings) -> None:
    """The newest message, the retention, and the time that a segment may stay open; and what is not covered."""
    await judged(settings, [written_by("bob", 1), written_by("alice", 1), written_by("bob", 2)])
    times = {
        json.loads(record.value)["message_id"]: record.timestamp for record in await read_all(settings, "messages")
    }
    counted = await rsafe_json(settings, "audit", "erase", *ALICE, "--count")
    receipt = await erase_alice(settings)

    week = dt.timedelta(days=7)
    newest, until = receipt.messages_newest, receipt.messages_until
    assert newest is not None
    assert until is not None
    assert newest.timestamp() * 1000 == pytest.approx(max(times.values()), abs=1)
    # Retention, and Kafka's own segment.ms: a week each; ten minutes for Kafka to look.
    assert until - newest == week + week + dt.timedelta(minutes=10)
    exact = dt.datetime.fromisoformat(counted["messages_newest"]).timestamp() * 1000
    assert exact == pytest.approx(times["alice-1"], abs=1)
    assert any("erasure = off" in line for line in receipt.not_covered)


@pytest.mark.slow
async def test_replays_rehearsals_and_new_messages(settings: Settings) -> None:
    """Their traces are sealed and erased too; a replay brings nothing back; what is sent later is readable."""
    policies = [("platform", policy(U7)), (f"{TENANT}#shadow", policy({"id": "OWN", "name": "Own"}))]
    values = [written_by("alice", 1), written_by("bob", 1)]
    await policy_topics.publish(settings, *policies)
    store = PolicyStore(settings)
    async with policy_topics.running(store), running(settings, QuotingJudge(), store):
        await send(settings, values)
        await until_verdicts(settings, len(values))
        # A worker that ends drops what its rehearsals have not written yet.
        await wait_until(lambda: at_least(settings, "shadow-traces", 2), what="traces of the rehearsal")
    await replayed(settings, judge=QuotingJudge())
    assert (
        await readable(settings, "shadow-traces") == await readable(settings, "replay-traces") == {"alice": 1, "bob": 1}
    )

    await erase_alice(settings)
    await replayed(settings, judge=QuotingJudge())
    assert await readable(settings, "traces") == await readable(settings, "shadow-traces") == {"bob": 1}
    assert await readable(settings, "replay-traces") == {"bob": 2}
    assert len(await read_all(settings, "replay-traces")) == 4
    assert await topics_with(settings, WORDS["alice"]) == {"messages"}

    await judged(settings, [written_by("alice", 2)])
    assert WORDS["alice"] in ((await reasoning_of(settings, "alice-2"))[0] or "")
    assert ((await erase_alice(settings)).keys or 0) > 1
    assert await readable(settings, "traces") == {"bob": 1}


async def readable(settings: Settings, name: str) -> dict[str, int]:
    """Count the traces of a topic that can be opened, by the author whose words they hold."""
    traces = [read_trace(record) for record in await read_all(settings, name)]
    keys = await read_keys(settings, sealed_keys(traces))
    found: dict[str, int] = {}
    for trace in traces:
        assert trace.sealed is not UNSET
        text = opened_trace(trace, keys.get(trace.sealed.key))[0].reasoning or ""
        for author in (author for author, words in WORDS.items() if words in text):
            found[author] = found.get(author, 0) + 1
    return found


@pytest.mark.slow
async def test_what_people_say_about_a_verdict_is_sealed_too(settings: Settings) -> None:
    """Free text of an override is read by who has the key, refused for an erased author, and gone with the key."""
    await judged(settings, [written_by("alice", 1), written_by("bob", 1)])
    for author in WORDS:
        verdict = (await explain(settings, f"{author}-1", TENANT)).verdict
        ruling = Ruling(decision="overturn", reviewer="r", reason=f"{author} means it", text=f"Rewritten for {author}.")
        written = await override(settings, verdict.verdict_id, ruling, Hint())
        assert (written.override.reason, written.override.text) == (None, UNSET)
    before = await read_overrides(settings, Wanted())
    await erase_alice(settings)
    after = await read_overrides(settings, Wanted())

    assert await topics_with(settings, "Rewritten means") == set()
    assert {one.text for one in before.proposals} == {"Rewritten for alice.", "Rewritten for bob."}
    assert {one.text for one in after.proposals} == {None, "Rewritten for bob."}
    verdict = (await explain(settings, "alice-1", TENANT)).verdict
    with pytest.raises(UsageError, match=r"was erased on .*leave out --reason and --text"):
        await override(settings, verdict.verdict_id, Ruling(decision="uphold", reviewer="r", reason="again"), Hint())


async def test_a_crash_between_key_and_record_loses_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is there and the trace is not: the next worker writes it all once, under a key of its own."""
    write, blocked = Delivery.write, asyncio.Event()

    async def stuck(self: Delivery, topic: str, partition: int, rows: Any) -> Any:
        if not blocked.is_set() and topic == settings.topic("traces"):
            await asyncio.Event().wait()
        return await write(self, topic, partition, rows)

    monkeypatch.setattr(Delivery, "write", stuck)
    async with running(structs.replace(settings, drain_timeout_s=0.1), QuotingJudge()):
        await send(settings, [written_by("alice", 1), poison_by("alice")])
        await wait_until(lambda: at_least(settings, KEYS, 1), what="the key")
    blocked.set()
    assert await count(settings, "traces") == await count(settings, "verdicts") == 0
    async with running(settings, QuotingJudge()):
        await until_verdicts(settings, 1)
        await wait_until(lambda: at_least(settings, "dead-letters", 1), what="the dead letter")

    assert await readable(settings, "traces") == {"alice": 1}
    await assert_clean(settings, 2)
    assert (await erase_alice(settings)).keys == 2


async def test_without_its_key_topic_a_worker_writes_nothing(broker: KafkaAddress, topic_prefix: str) -> None:
    """It is not ready, names the topic and the cure, reads no message and writes no plain text; then it goes on."""
    settings = sealing_settings(broker.bootstrap_servers, topic_prefix)
    await make_topics(settings)
    async with policy_topics.admin(settings) as client:
        await client.delete_topics([settings.topic(KEYS)])
    async with running(settings, QuotingJudge()) as plane:
        await send(settings, [written_by("alice", 1)])
        reasons = await wait_until(lambda: [one for one in plane.unready() if settings.topic(KEYS) in one])
        assert any("rsafe topics create" in one for one in reasons)
        assert await count(settings, "verdicts") == await count(settings, "traces") == 0
        await make_topics(settings)
        await until_verdicts(settings, 1)
        await wait_until(lambda: not plane.unready(), what="the worker is ready")
    assert await readable(settings, "traces") == {"alice": 1}


async def test_another_digest_key_is_refused(settings: Settings) -> None:
    """A worker that would hide its keys from erasure ends, and an erasure that would miss keys is not begun."""
    await judged(settings, [written_by("alice", 1)])
    other = structs.replace(settings, digest_key=Secret("quite another secret of somebody else"))
    async with running(other, QuotingJudge()) as plane:
        with pytest.raises(WrongDigestKey, match="set that one"):
            await asyncio.wait_for(plane.wait_failed(), 120)
    request = Request(subject=Subject("author", TENANT, "alice"), by="dana")
    with pytest.raises(WrongDigestKey, match="erasing would miss keys"):
        await erasing.erase(other, request, counting=False)
    assert await count(settings, ERASURES) == 0
