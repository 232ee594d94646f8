"""Kafka as it is run for real: TLS, logins and ACLs, on a real broker; and no password anywhere to be read."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs
from prometheus_client import CollectorRegistry

from tests.support import dataplane
from tests.support.pages import page
from tests.support.planted import PASSWORD
from tests.support.processes import ROOT, line_with, started
from tests.support.secure_broker import CERTIFICATE_USER, SecureBroker
from tests.support.waiting import wait_until
from worker import broker, kafka
from worker.acls import Acl, acls
from worker.audit.erasing.erase import erase, plan
from worker.audit.erasing.holds import Request, delete_hold, put_hold
from worker.config import Settings
from worker.erasure.subjects import Subject
from worker.errors import BrokerAway, ConfigError, LegalHold, WorkerError
from worker.exceptions.store import ExceptionStore
from worker.judge.scripted import ScriptedJudge
from worker.metrics import Metrics
from worker.policy.store import PolicyStore
from worker.secret import Secret
from worker.stream.plane import DataPlane
from worker.stream.shadow_output import shadow_settings
from worker.stream.trier import JudgeTrier
from worker.topics import create_topics

pytestmark = [pytest.mark.broker, pytest.mark.slow]

FLOOR: Final = {"title": "Floor", "version": 1, "categories": [{"id": "U7", "name": "Threats", "action": "block"}]}
_CATEGORY: Final = {"id": "S1", "name": "Shouting", "action": "block"}
OWN: Final = {"title": "Own", "version": 1, "categories": [_CATEGORY]}
_SEALING: Final[dict[str, Any]] = {"erasure": "on", "digest_key": Secret("not a real secret, but long enough")}
_SHADOW: Final[dict[str, Any]] = {"shadow_sasl_username": "rsafe-shadow", "shadow_sasl_password": Secret(PASSWORD)}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """One secure broker for this file."""
    made = SecureBroker(tmp_path_factory.mktemp("secure"))
    try:
        asyncio.run(made.kafka.start())
    except BrokerAway as error:
        pytest.skip(f"needs Kafka: {error}")
    # Who may write nowhere gets no producer id, so a producer's login alone cannot be tried.
    some = Acl(resource="topic", name="logins.", pattern="prefixed", operations=("Write",), why="a test")
    asyncio.run(made.allow("rsafe", [some]))
    yield made
    asyncio.run(made.kafka.stop())


@pytest.fixture
async def prefix(secure: SecureBroker, topic_prefix: str) -> str:
    """A prefix whose topics exist."""
    await create_topics(secure.kafka.bootstrap_servers, topic_prefix, 1)
    return topic_prefix


def whole(error: BaseException) -> str:
    """Return everything that a crash with this error would print, causes included."""
    return "".join(traceback.format_exception(error))


MAKERS: Final[dict[str, Callable[[Settings], Any]]] = {
    "consumer": kafka.make_consumer,
    "producer": kafka.make_producer,
    "admin": kafka.make_admin,
}


@pytest.mark.long
@pytest.mark.parametrize("client", MAKERS)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize("door", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_every_client_logs_in(secure: SecureBroker, client: str, mechanism: str, door: str) -> None:
    """Each kind of client, with each mechanism, with encryption and without."""
    settings = secure.login("logins.", door=door, sasl_mechanism=mechanism)
    made = MAKERS[client](settings)

    await kafka.start(made, settings)

    assert made.client.cluster.brokers() if client == "producer" else made._client.cluster.brokers()
    await kafka.close(made)


async def test_a_password_file_is_read_at_each_connection(secure: SecureBroker, tmp_path: Path) -> None:
    """A wrong password that is set right in the file works from the next client on."""
    file = tmp_path / "password"
    settings = secure.login("logins.", sasl_password=Secret(), sasl_password_file=str(file))
    file.write_text("wrong", encoding="utf-8")
    with pytest.raises(ConfigError, match="refused the login"):
        await kafka.start(kafka.make_producer(settings), settings)

    file.write_text(PASSWORD + "\n", encoding="utf-8")
    client = kafka.make_producer(settings)
    await kafka.start(client, settings)
    await kafka.close(client)


async def test_a_certificate_is_a_login_too(secure: SecureBroker, prefix: str) -> None:
    """With client certificates Kafka knows the client by its certificate's name."""
    settings = secure.certified(prefix)
    await secure.allow(CERTIFICATE_USER, [_topic(settings, "messages", "Write")])
    client = kafka.make_producer(settings)
    await kafka.start(client, settings)

    sent = await kafka.send(client, settings.topic("messages"), b"{}", key=b"k", timeout_s=10)

    await kafka.close(client)
    assert sent.offset == 0


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"sasl_password": Secret("almost-" + PASSWORD)}, "refused the login of 'rsafe' by SCRAM-SHA-512"),
        ({"sasl_username": "stranger"}, "refused the login of 'stranger'"),
        ({"ssl_ca_file": "stranger"}, "certificate is not accepted .*; set ssl_ca_file"),
        ({"ssl_ca_file": ""}, "certificate is not accepted .*; set ssl_ca_file"),
        ({"bootstrap_servers": "localhost"}, "certificate is not accepted .*ssl_check_hostname"),
    ],
    ids=["password", "user", "signer", "system's signers", "name"],
)
async def test_a_refused_login_stops(
    secure: SecureBroker, change: dict[str, Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a wrong setting and not a broker that is away; the error names it, and never the password."""
    caplog.set_level("DEBUG", "worker")
    if change.get("ssl_ca_file"):
        change = {"ssl_ca_file": str(secure.files.stranger)}
    if "bootstrap_servers" in change:
        change = {"bootstrap_servers": secure.address("SASL_SSL").replace("127.0.0.1", "localhost")}
    settings = secure.login("logins.", **change)

    for make in MAKERS.values():
        with pytest.raises(ConfigError, match=expected) as caught:
            await kafka.start(make(settings), settings)
        assert PASSWORD not in whole(caught.value)

    assert PASSWORD not in caplog.text + repr(settings)


async def test_the_wrong_kind_of_port_names_the_setting(secure: SecureBroker) -> None:
    """A plain client at a door with a login, and a client with TLS at a plain one."""
    plain = secure.plain("logins.", bootstrap_servers=secure.address("SASL_SSL"), kafka_timeout_s=3)
    tls = secure.login("logins.", bootstrap_servers=secure.kafka.bootstrap_servers, kafka_timeout_s=3)
    for settings in (plain, tls):
        with pytest.raises((BrokerAway, ConfigError), match="security_protocol"):
            await kafka.start(kafka.make_admin(settings), settings)


def _topic(settings: Settings, name: str, *operations: Any) -> Acl:
    return Acl(resource="topic", name=settings.topic(name), operations=operations, why="a test")


async def test_rehearsals_cannot_write_verdicts(secure: SecureBroker, prefix: str) -> None:
    """The promise of rehearsals, kept by the broker: their login writes to their own topics and nowhere else."""
    settings = secure.login(prefix, **_SHADOW)
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


# A whole worker, and all its neighbours, each with its own login.


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that uses these settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("RSAFE_")}
    for name, value in structs.asdict(settings).items():
        env[f"RSAFE_{name.upper()}"] = value.reveal() if isinstance(value, Secret) else str(value)
    return env


async def rsafe(settings: Settings, *arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run a command with a login; return its exit code and all that it wrote."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=variables(settings),
        cwd=ROOT,
    )
    out, _ = await process.communicate(stdin)
    return process.returncode or 0, out.decode()


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
        **_SHADOW,
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
        await wait_until(lambda: _at_least(plain, "shadow-verdicts", 1), what="a verdict of the rehearsal")
        await wait_until(lambda: _at_least(plain, "dead-letters", 1), what="the dead letter")
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


async def _at_least(settings: Settings, name: str, wanted: int) -> bool:
    return await dataplane.count(settings, name) >= wanted


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
        await wait_until(lambda: _at_least(plain, "dead-letters", 1), what="a dead letter")
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
    worker, eraser = secure.login(prefix, **_SEALING), secure.login(prefix, "eraser", **_SEALING)
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


# Each permission taken away.


def without(found: list[Acl], resource: str, name: str, operation: str) -> list[Acl]:
    """Return the ACLs with one operation on one thing taken out."""
    left = []
    for acl in found:
        operations = acl.operations
        if (acl.resource, acl.name) == (resource, name):
            operations = tuple(one for one in operations if one != operation)
        if operations:
            left.append(structs.replace(acl, operations=operations))
    return left


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Callable[[], str]]:
    """Run policies and data plane; yields what says everything that is wrong up to now."""
    metrics, judge, wrong = Metrics(CollectorRegistry()), ScriptedJudge(), []
    policies = PolicyStore(settings, metrics, trier=JudgeTrier(settings, judge))
    exceptions = ExceptionStore(settings, policies, metrics)
    plane = DataPlane(settings, judge, policies, metrics, exceptions)

    async def live() -> None:
        try:
            await policies.start()
            await exceptions.start()
            await plane.start()
            await plane.wait_failed()
        except WorkerError as error:
            wrong.append(f"{type(error).__name__}: {error}")

    task = asyncio.create_task(live())
    try:
        yield lambda: "\n".join([*wrong, policies.trouble or "", exceptions.trouble or "", *plane.unready()])
    finally:
        task.cancel()
        await plane.stop()
        await exceptions.stop()
        await policies.stop()


#: What is taken away, and what the refusal must name.
_TAKEN: Final = [
    ("topic", "messages", "Read"),
    ("topic", "commands", "Read"),
    ("topic", "policies", "Read"),
    ("topic", "policy-history", "Read"),
    ("topic", "exceptions", "Read"),
    ("topic", "policy-history", "Write"),
    ("topic", "verdicts", "Read"),
    ("topic", "verdicts", "Write"),
    ("topic", "dead-letters", "Read"),
    ("topic", "dead-letters", "Write"),
    ("topic", "traces", "Write"),
    ("topic", "policy-applied", "Write"),
    ("topic", "subject-keys", "Read"),
    ("topic", "subject-keys", "Write"),
    ("topic", "erasures", "Read"),
    ("topic", "shadow-verdicts", "Write"),
    ("topic", "shadow-traces", "Write"),
    ("group", "workers", "Read"),
    ("group", "workers.", "Read"),
]


@pytest.mark.long
@pytest.mark.parametrize("resource, name, operation", _TAKEN, ids=["-".join(case) for case in _TAKEN])
async def test_each_permission_is_needed_and_missed_by_name(
    secure: SecureBroker, prefix: str, resource: str, name: str, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With one taken away the worker says what it may not do to which topic or group, and where the cure is."""
    caplog.set_level("INFO", "worker")
    settings, plain = secure.login(prefix, **_SHADOW, **_SEALING, shadow_share=1.0), secure.plain(prefix)
    for user, role in (("rsafe", "worker"), ("rsafe-shadow", "shadow")):
        await secure.allow(user, without(acls(role, settings), resource, prefix + name, operation))
    async with dataplane.producer(plain) as client:
        await client.send_and_wait(plain.topic("policies"), json.dumps(FLOOR).encode(), key=b"platform")
        await client.send_and_wait(plain.topic("policies"), json.dumps(OWN).encode(), key=b"acme#shadow")
        # Something to read back, and both kinds of outcome to write.
        await client.send_and_wait(plain.topic("verdicts"), b"{}")
        await client.send_and_wait(plain.topic("dead-letters"), b"{}")
    await dataplane.send(plain, [dataplane.message(1), b"no message"])

    async with working(settings) as wrong:

        def refusals() -> list[str]:
            lines = [*wrong().splitlines(), *(record.getMessage() for record in caplog.records)]
            return [line for line in lines if "rsafe topics acls" in line and prefix + name in line]

        found = await wait_until(refusals, what=f"a word about {operation} on {name}: {wrong()}")

    print(f"\n{resource} {name} {operation}: {found[0]}")
    assert PASSWORD not in "".join(found)


def test_every_permission_of_the_worker_is_taken_away_once() -> None:
    """The list above is the whole table of the worker, and that of its rehearsals."""
    settings = Settings(topic_prefix="p.", group_id="p.workers")
    roles = [*acls("worker", settings), *acls("shadow", settings)]
    table = {(acl.resource, acl.name, operation) for acl in roles for operation in acl.operations}

    assert table == {(kind, "p." + name, how) for kind, name, how in _TAKEN}
