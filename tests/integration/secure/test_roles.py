"""Every role does its work with the ACLs that are shipped, on a real broker, and nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from msgspec import structs

from tests.support import dataplane
from tests.support.pages import page
from tests.support.planted import PASSWORD
from tests.support.processes import line_with, started
from tests.support.secure_broker import SecureBroker
from tests.support.secure_rsafe import FLOOR, OWN, SEALING, SHADOW, at_least, rsafe, variables, working
from tests.support.waiting import wait_until
from worker import broker, kafka
from worker.acls import acls
from worker.audit.erasing.erase import erase, plan
from worker.audit.erasing.holds import Request, delete_hold, put_hold
from worker.audit.explain.find import Hint
from worker.audit.overrides.log import override, read_overrides
from worker.audit.overrides.overrides import Ruling
from worker.audit.retract import retract
from worker.audit.standing import Wanted
from worker.config import Settings
from worker.erasure.subjects import Subject
from worker.errors import ConfigError, LegalHold
from worker.records import encode
from worker.secret import Secret
from worker.stream.shadow_output import shadow_settings

pytestmark = [pytest.mark.broker, pytest.mark.slow]


async def test_rehearsals_cannot_write_verdicts(secure: SecureBroker, prefix: str) -> None:
    """The promise of rehearsals, kept by the broker: their login writes to their own topics and nowhere else."""
    settings = secure.login(prefix, **SHADOW)
    await secure.allow("rsafe", acls("worker", settings))
    await secure.allow("rsafe-shadow", acls("shadow", settings))
    own = shadow_settings(settings)
    client = kafka.make_producer(own)
    await kafka.start(client, own)

    for name in ("shadow-verdicts", "shadow-traces"):
        assert (await kafka.send(client, own.topic(name), b"{}", key=b"k", timeout_s=10)).offset == 0
    for name in ("verdicts", "traces", "dead-letters", "policies", "messages"):
        with pytest.raises(ConfigError, match=rf"publishing to {own.topic(name)}: TopicAuth.*rsafe topics acls"):
            await kafka.send(client, own.topic(name), b"{}", key=b"k", timeout_s=10)

    await kafka.close(client)
    assert await dataplane.count(secure.plain(prefix), "verdicts") == 0


async def _paused(secure: SecureBroker, prefix: str, worker: Settings, port: int) -> str:
    """Have an operator pause the worker, wait until it says so, and return what the command wrote."""

    async def is_paused() -> bool:
        return b"paused: a test" in await page(port, "readyz")

    await secure.allow("operator", acls("operator", worker))
    code, text = await rsafe(secure.login(prefix, "operator"), "workers", "pause", "--reason", "a test")
    assert code == 0, text
    await wait_until(is_paused, what="the pause")
    return text


async def test_a_worker_with_the_shipped_acls_does_all_its_work(
    secure: SecureBroker, prefix: str, tmp_path: Path
) -> None:
    """Policies, messages, dead letters, rehearsals and commands, each login with its ACLs; no password is written."""
    port = broker._free_port()
    worker = secure.login(
        prefix,
        sasl_password=Secret(),
        sasl_password_file=str(secure.password_file),
        # The mechanism that sends the password as it is, and the chattiest log: the hardest case.
        sasl_mechanism="PLAIN",
        log_level="debug",
        **SHADOW,
        shadow_share=1.0,
        web_port=port,
    )
    author, sender = secure.login(prefix, "author"), secure.login(prefix, "sender")
    for user, role in (("rsafe", "worker"), ("rsafe-shadow", "shadow"), ("author", "author"), ("sender", "sender")):
        await secure.allow(user, acls(role, worker))
    await secure.allow("auditor", acls("auditor", worker))
    everything, plain = [], secure.plain(prefix)
    log = tmp_path / "run.log"

    with started("run", log=log, env=variables(worker)) as process:
        await line_with(log, "ready", process)
        judged = {"golden": [{"text": "[unsafe:U7] a case", "label": "unsafe"}]}
        for scope, policy in (("platform", FLOOR | judged), ("acme#shadow", OWN)):
            (tmp_path / "policy.json").write_text(json.dumps(policy), encoding="utf-8")
            code, text = await rsafe(author, "policy", "put", scope, str(tmp_path / "policy.json"), "--wait", "60")
            assert code == 0, text
            everything.append(text)
        lines = dataplane.message(1, "[unsafe:U7]") + b"\nno message\n"
        code, text = await rsafe(sender, "send", "-", "--raw", "--wait", "--timeout-s", "120", stdin=lines)
        everything.append(text)
        assert "U7" in text, text
        await wait_until(lambda: at_least(plain, "shadow-verdicts", 1), what="a verdict of the rehearsal")
        await wait_until(lambda: at_least(plain, "dead-letters", 1), what="the dead letter")
        assert await dataplane.count(plain, "dead-letters") == 1
        everything.append(await _paused(secure, prefix, worker, port))
        process.terminate()
        assert await asyncio.to_thread(process.wait, 60) == 0
    everything += [log.read_text(), log.with_suffix(".err").read_text()]

    auditor = secure.login(prefix, "auditor")
    code, text = await rsafe(auditor, "audit", "verify")
    assert code == 0, text
    code, read = await rsafe(auditor, "policy", "history", "platform")
    assert code == 0, read
    code, doctor = await rsafe(structs.replace(worker, log_level="error"), "doctor", "--json")
    # A failed check is told on a line beside it.
    found = json.loads(next(line for line in doctor.splitlines() if line.startswith("{")))
    results = {check["name"]: check["result"] for check in found["checks"]}
    # How much memory is free now has nothing to do with ACLs.
    assert (code == 0) == (results.pop("memory") == "ok"), doctor
    assert results == {"versions": "ok", "kafka": "ok", "model": "ok", "web port": "ok"}, doctor
    code, listed = await rsafe(author, "policy", "list")
    assert (code, "platform" in listed) == (0, True), listed
    code, compared = await rsafe(author, "policy", "compare", "acme")
    assert (code, "ACL" in compared) == (0, False), compared
    everything += [text, read, doctor, listed, compared, (await rsafe(worker, "doctor"))[1]]
    wrong = structs.replace(author, sasl_password=Secret("almost-" + PASSWORD))
    code, text = await rsafe(wrong, "policy", "list")
    assert (code, "refused the login of 'author'" in text) == (1, True), text
    everything.append(text)
    assert found["settings"]["shadow_sasl_password"] == "***"
    assert [text for text in everything if PASSWORD in text] == []


@pytest.mark.long
async def test_operators_and_replays_need_no_more_than_their_acls(
    secure: SecureBroker, prefix: str, tmp_path: Path
) -> None:
    """A dead letter is sent again and judged, then everything is judged anew, each with its own login."""
    plain, mended = secure.plain(prefix), tmp_path / "mended.json"
    mended.write_bytes(dataplane.message(2, "[unsafe:U7]"))
    operator, again = secure.login(prefix, "operator"), secure.login(prefix, "replay")
    for user in ("operator", "replay"):
        await secure.allow(user, acls(user, plain))
    async with dataplane.producer(plain) as client:
        await client.send_and_wait(plain.topic("policies"), json.dumps(FLOOR).encode(), key=b"platform")
    await dataplane.send(plain, [dataplane.message(1), b"no message"])

    async with working(plain):
        await wait_until(lambda: at_least(plain, "dead-letters", 1), what="a dead letter")
        code, listed = await rsafe(operator, "dlq", "list", "--json")
        assert (code, "DecodeError" in listed) == (0, True), listed
        code, sent = await rsafe(operator, "dlq", "redrive", "0/0", "--value", str(mended), "--json")
        assert code == 0, sent
        await dataplane.until_verdicts(plain, 2)
    code, replayed = await rsafe(again, "replay", "--control", "0", "--json")
    assert code == 0, replayed
    code, now = await rsafe(again, "replay", "--policy", "now", "--control", "0", "--json")
    assert code == 0, now

    assert await dataplane.count(plain, "replay-verdicts") == 4
    assert PASSWORD not in listed + sent + replayed


async def test_who_erases_reads_keys_and_no_words(secure: SecureBroker, prefix: str) -> None:
    """A worker seals; a login with the eraser's ACLs plans, is stopped by a hold, and erases; traces stay closed."""
    worker, eraser = secure.login(prefix, **SEALING), secure.login(prefix, "eraser", **SEALING)
    for user, role in (("rsafe", "worker"), ("eraser", "eraser")):
        await secure.allow(user, acls(role, worker))
    plain = secure.plain(prefix)
    async with dataplane.producer(plain) as client:
        await client.send_and_wait(plain.topic("policies"), json.dumps(FLOOR).encode(), key=b"platform")
    async with working(worker):
        await dataplane.send(plain, [dataplane.message(1, author_id="alice")])
        await dataplane.until_verdicts(plain, 1)
    asked = Request(subject=Subject("author", "acme", "alice"), by="dana")
    await put_hold(eraser, asked)
    with pytest.raises(LegalHold, match="put by dana"):
        await erase(eraser, asked, counting=False)
    await delete_hold(eraser, asked)
    planned = await plan(eraser, asked, counting=True)
    receipt = await erase(eraser, asked, counting=False)

    assert (planned.keys, receipt.keys, receipt.messages_until is not None) == (1, 1, True)
    assert planned.counted is not None
    assert (planned.counted.messages, planned.counted.records["traces"]) == (1, None)


async def test_who_reviews_and_who_retracts_write_their_own_topic_only(secure: SecureBroker, prefix: str) -> None:
    """A person's decision, with words that are sealed, and a verdict superseded: each with its own login."""
    worker, plain = secure.login(prefix, **SEALING), secure.plain(prefix)
    people = {name: secure.login(prefix, name, **SEALING) for name in ("reviewer", "retractor")}
    for user, role in (("rsafe", "worker"), ("reviewer", "reviewer"), ("retractor", "retractor")):
        await secure.allow(user, acls(role, worker))
    async with dataplane.producer(plain) as client:
        await client.send_and_wait(plain.topic("policies"), json.dumps(FLOOR).encode(), key=b"platform")
    async with working(worker):
        await dataplane.send(plain, [dataplane.message(1, "[unsafe:U7]", author_id="alice")])
        await dataplane.until_verdicts(plain, 1)
    (record,) = await dataplane.read_all(plain, "verdicts")
    judged = dataplane.verdict_of(record)["verdict_id"]
    ruling = Ruling(decision="overturn", reviewer="dana", reason="a line of a song", label="safe")

    written = await override(people["reviewer"], judged, ruling, Hint())
    report = await retract(people["retractor"], "platform@1", Wanted(), publish=True)

    assert (written.compared, report.published) == (True, 1)
    assert b"song" not in encode(written.override)
    assert [await dataplane.count(plain, name) for name in ("overrides", "verdicts")] == [1, 2]
    assert (await read_overrides(people["reviewer"], Wanted())).decisions["overturn"] == 1
    with pytest.raises(ConfigError, match=rf"{plain.topic('overrides')}.*rsafe topics acls"):
        await override(people["retractor"], judged, Ruling(decision="uphold", reviewer="eve"), Hint())
    with pytest.raises(ConfigError, match=rf"{plain.topic('verdicts')}.*rsafe topics acls"):
        await retract(people["reviewer"], "platform@1", Wanted(), "block", publish=True)
