"""Exceptions on a real broker with the scripted engine: in force, visible, ended, refused, repeated."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from tests.conftest import KafkaAddress
from tests.support import planted, policy_topics
from tests.support.commands import rsafe, rsafe_json
from tests.support.dataplane import (
    FixedPolicies,
    make_topics,
    message,
    read_all,
    running,
    send,
    settings_for,
    until_verdicts,
)
from tests.support.excepting import KEY, fields, judged, judging, known, publish, shared, until_refused, verdicts
from tests.support.replaying import U7, U8, outcomes, policy, replayed
from tests.support.waiting import wait_until
from worker.audit.replay.exceptions import read_exceptions
from worker.config import Settings
from worker.errors import ExceptionInvalid
from worker.exceptions import lifecycle
from worker.exceptions.accept import DELAY_MS, MAX_DAYS
from worker.exceptions.fingerprint import Fingerprinter
from worker.exceptions.lifecycle import Wish
from worker.exceptions.store import ExceptionStore
from worker.metrics import Metrics
from worker.records import Message
from worker.secret import Secret
from worker.topics import create_topics

pytestmark = pytest.mark.broker

SAYS_U8: Final = "hello [unsafe:U8]"
SAYS_BOTH: Final = "hello [unsafe:U7][unsafe:U8]"
A_DAY: Final = dt.timedelta(days=1)


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a fast test with a key, all topics, a floor that blocks U7 and two tenants that hold U8."""
    monkeypatch.setenv("RSAFE_DIGEST_KEY", KEY)
    chosen = settings_for(broker.bootstrap_servers, topic_prefix, digest_key=Secret(KEY))
    await make_topics(chosen, 2)
    both = [(tenant, policy(U8)) for tenant in ("acme", "bazaar")]
    await policy_topics.publish(chosen, ("platform", policy(U7)), *both)
    return chosen


def put(scope: str, *more: str) -> tuple[str, ...]:
    """Return the command that puts an exception named x."""
    return "exceptions", "put", scope, "--id", "x", "--owner", "trust", "--reason", "a test", "--expires", "1h", *more


async def a_life(settings: Settings, least_s: float) -> float:
    """Return how long an exception has to live here so that messages that are sent one by one fall under it."""
    began_s = time.monotonic()
    await judged(settings, by("u9", 30_000))
    return max(least_s, DELAY_MS / 1000 + 6 * (time.monotonic() - began_s))


def by(author: str, number: int, text: str = SAYS_U8, **more: Any) -> bytes:
    """Return a message of an author of acme."""
    return message(number, text, author_id=author, **more)


async def test_only_the_action_changes_and_the_floor_stands(settings: Settings) -> None:
    """Label, score and hits stay as judged; a hit of the floor and those of others recommend what they did."""
    metrics = Metrics(CollectorRegistry())
    async with judging(settings, metrics):
        said = await rsafe_json(settings, *put("acme", "--author", "u1"))
        found = await judged(
            settings,
            by("u1", 1),
            by("u2", 2),
            by("u1", 3, SAYS_BOTH),
            by("u1", 4, "hello"),
            by("u1", 5, tenant="bazaar"),
        )
        await wait_until(lambda: metrics.registry.get_sample_value("rsafe_suppressions_total") == 1)
        assert known(metrics, "in_force") == 1

    first = found["m1"]
    assert (first["action"], first["label"], first["score"]) == ("allow", "unsafe", 1.0)
    assert [(item["id"], item["hit"]) for item in first["categories"]] == [("U8", True)]
    assert first["suppressed_by"] == said["key"] == "acme#x"
    (suppression,) = first["suppressions"]
    assert suppression == {
        "exception": "acme#x",
        "digest": said["digest"],
        "owner": "trust",
        "categories": ["acme:U8"],
        "whole": False,
    }
    assert {name: found[name]["action"] for name in ("m2", "m3", "m4", "m5")} == {
        "m2": "hold",
        "m3": "block",
        "m4": "allow",
        "m5": "hold",
    }
    both = found["m3"]
    assert [one["categories"] for one in both["suppressions"]] == [["acme:U8"]]
    assert all("suppressed_by" not in found[name] for name in ("m2", "m3", "m4", "m5"))
    assert all("suppressions" not in found[name] for name in ("m2", "m4", "m5"))


@pytest.mark.slow
async def test_put_and_delete_count_from_their_return_on(settings: Settings) -> None:
    """What is sent after the command has returned falls under it, and after a delete no more; no restart."""
    async with judging(settings):
        record = await publish(settings, "acme#x", fields(channel_id="lobby"))
        for number in itertools.count():
            found = await judged(settings, by("u1", number, channel_id="lobby"))
            if "suppressed_by" in found[f"m{number}"]:
                break
        # By Kafka's times: each message from then on, and none before, however slow this machine is.
        for one in found.values():
            after_ms = one["source"]["timestamp"] - record.timestamp
            assert ("suppressed_by" in one) == (after_ms >= DELAY_MS), after_ms
        assert DELAY_MS < 2000
        code, out, err = await rsafe(settings, "exceptions", "delete", "acme#x")
        assert (code, "ended for messages" in out) == (0, True), err
        after = await judged(settings, by("u1", 1001, channel_id="lobby"))
        assert after["m1001"]["action"] == "hold"
        await rsafe_json(settings, *put("acme/lobby", "--category", "U8"))
        again = await judged(settings, by("u1", 1002, channel_id="lobby"), by("u1", 1003))

    assert (again["m1002"]["action"], again["m1003"]["action"]) == ("allow", "hold")


async def test_a_text_is_known_by_its_fingerprint_alone(settings: Settings) -> None:
    """Texts that differ by case and punctuation are one text; no byte of it is in the topic, nor another tenant's."""
    said = f"Sell your HOUSE [unsafe:U8] {planted.WORDS}"
    async with judging(settings):
        code, out, err = await rsafe(settings, *put("acme", "--text", "-", "--json"), stdin=said.encode())
        assert code == 0, err
        found = await judged(
            settings,
            message(1, "sell, your house!! [unsafe:U8]"),
            message(2, "sell my house [unsafe:U8]"),
            message(3, "Sell your HOUSE [unsafe:U8]", tenant="bazaar"),
        )

    assert [found[f"m{n}"]["action"] for n in (1, 2, 3)] == ["allow", "hold", "hold"]
    assert json.loads(out)["record"]["fingerprint"] == Fingerprinter(Secret(KEY)).of("acme", said)
    written = b"".join(one.value or b"" for one in await read_all(settings, "exceptions"))
    assert b"house" not in written.lower()


async def test_the_platform_may_except_from_its_floor(settings: Settings) -> None:
    """With the scope * a category of the floor is taken back, for the tenant that is named and nobody else."""
    async with judging(settings):
        await rsafe_json(settings, *put("*", "--tenant", "acme", "--author", "u1", "--category", "U7"))
        found = await judged(settings, by("u1", 1, SAYS_BOTH), by("u1", 2, SAYS_BOTH, tenant="bazaar"))

    assert [found[name]["action"] for name in ("m1", "m2")] == ["hold", "block"]
    assert found["m1"]["suppressed_by"] == "*#x"


@pytest.mark.slow
async def test_expiry_goes_by_the_messages_own_time_and_a_replay_repeats_it(settings: Settings, tmp_path: Path) -> None:
    """Each verdict follows from Kafka's times of message and record, live and in a replay after it has ended."""
    async with judging(settings):
        life_s = await a_life(settings, 4.0)
        short = await publish(settings, "acme#short", fields(name="short", life_s=life_s, author_id="u1"))
        seen = set()
        for number in itertools.count():
            found = await judged(settings, by("u1", number), by("u2", 10_000 + number))
            seen.add(found[f"m{number}"]["action"])
            if seen == {"allow", "hold"} and found[f"m{number}"]["action"] == "hold":
                break
        await rsafe_json(settings, *put("acme", "--author", "u2"))
        await judged(settings, by("u2", 20_001, SAYS_BOTH), by("u2", 20_002))
        await rsafe(settings, "exceptions", "delete", "acme#x")
        before = await judged(settings, by("u2", 20_003))

    until_ms = (await read_exceptions(settings)).newest()["acme#short"].accepted
    assert until_ms is not None
    for name, one in before.items():
        if int(name[1:]) < 10_000:
            due = short.timestamp + DELAY_MS <= one["source"]["timestamp"] < until_ms.until_ms
            assert ("suppressed_by" in one) == due, name
    assert [before[f"m{n}"]["action"] for n in (20_001, 20_002, 20_003)] == ["block", "allow", "hold"]

    run, report = await replayed(settings)

    names = ("label", "action", "categories", "score", "suppressed_by", "suppressions")
    repeated = {one["message_id"]: one for one in await outcomes(settings, run)}
    assert repeated.keys() == before.keys()
    for name, one in before.items():
        assert {key: one.get(key) for key in names} == {key: repeated[name].get(key) for key in names}
    assert (report.comparison.total.flips, report.comparison.total.action_changes) == (0, 0)
    await _audits_show_it(settings, before["m20002"], tmp_path)


async def _audits_show_it(settings: Settings, verdict: dict[str, Any], folder: Path) -> None:
    checked = await rsafe_json(settings, "audit", "verify", "--integrity")
    assert all(not checked[name] for name in ("missing", "doubled", "misplaced", "altered"))
    explained = await rsafe_json(settings, "audit", "explain", verdict["verdict_id"])
    assert (explained["deciding"]["rule"], explained["deciding"]["agrees"]) == ("exception", True)
    (story,) = explained["exceptions"]
    assert (story["record"]["owner"], story["suppression"]["exception"]) == ("trust", "acme#x")
    code, text, err = await rsafe(settings, "audit", "explain", verdict["verdict_id"])
    assert (code, "exception acme#x of trust took back acme:U8" in text) == (0, True), err
    for name in ("all.jsonl", "all.parquet"):
        kind = name.rpartition(".")[2]
        await rsafe_json(settings, "audit", "export", "--format", kind, "--out", str(folder / name))
    lines = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    assert [one for one in lines if one["verdict_id"] == verdict["verdict_id"]] == [verdict]
    from pyarrow import parquet  # noqa: PLC0415  (takes a second, and one test needs it)

    rows = parquet.read_table(folder / "all.parquet").to_pylist()
    (row,) = [one for one in rows if one["verdict_id"] == verdict["verdict_id"]]
    assert (row["suppressed_by"], row["suppressions"]) == ("acme#x", verdict["suppressions"])


async def test_bad_records_are_refused_once_and_the_stream_goes_on(settings: Settings) -> None:
    """Two workers, one dead letter each, with field and cure; messages are judged all the while."""
    other = msgspec.structs.replace(settings, digest_key=Secret("another key that is long enough, 0123456789"))
    foreign = Fingerprinter(other.digest_key).of("acme", "hello")
    ownerless = {key: value for key, value in fields(name="owner").items() if key != "owner"}
    of_the_floor = fields(name="floor", author_id="u1", categories=["U7"])
    bad: dict[str, tuple[Any, bytes]] = {
        "acme#json": (b"not json", b"record: expected a JSON object"),
        "acme#owner": (ownerless, b"owner: expected"),
        "acme#key": (fields(name="else", author_id="u1"), b"key: expected '<scope>#<id>'"),
        "acme#all": (fields(name="all"), b"author_id: expected an author"),
        "acme#long": (fields(name="long", author_id="u1", life_s=200 * 86400), b"expires_at: expected a time after"),
        "acme#floor": (of_the_floor, b"categories: expected only categories of the tenant's own policy"),
        "acme#odd": (fields(name="odd", channel_id="c", author="u1"), b"record: expected fields of its schema alone"),
        "acme#text": (fields(name="text", fingerprint=foreign), b"fingerprint: expected one that was made with the"),
        "platform#floor": (fields("platform", "floor", author_id="u1"), b"scope: expected '*'"),
    }
    metrics = Metrics(CollectorRegistry())
    async with judging(settings, metrics), judging(msgspec.structs.replace(settings, instance_id="second")):
        # What is refused while partitions change hands may rightly be refused by both.
        await wait_until(lambda: shared(settings, 2), what="two workers refuse exceptions")
        for number, (key, (value, _)) in enumerate(bad.items()):
            await publish(settings, key, value)
            found = await judged(settings, by("u1", number, SAYS_BOTH))
            assert found[f"m{number}"]["action"] == "block"
        letters = await until_refused(settings, len(bad))
        await publish(settings, "acme#good", fields(name="good", author_id="u1"))
        await wait_until(lambda: known(metrics, "in_force") >= 1)
        rows = {one["exception"]["key"]: one["exception"] for one in await rsafe_json(settings, "exceptions", "list")}
        letters = await until_refused(settings, len(bad))

    assert len(letters) == len(bad)
    details = {one.key.decode(): dict(one.headers)["error_detail"] for one in letters}
    assert [key for key, (_, detail) in bad.items() if not details[key].startswith(detail)] == [], details
    assert dict(letters[0].headers)["error"] == b"ExceptionInvalid"
    assert {key: rows[key]["state"] for key in ("acme#json", "acme#floor", "acme#good")} == {
        "acme#json": "refused",
        "acme#floor": "void",
        "acme#good": "in_force",
    }
    assert rows["acme#owner"]["field"] == "owner"


@pytest.mark.slow
async def test_the_list_says_how_exceptions_fare(settings: Settings) -> None:
    """Expired ones stay visible with what they changed; a tombstone takes one out of the list."""
    async with judging(settings):
        life_s = await a_life(settings, 3.0)
        await publish(settings, "acme#short", fields(name="short", life_s=life_s, author_id="u1"))
        for number in itertools.count():
            found = await judged(settings, by("u1", number))
            if "suppressed_by" in found[f"m{number}"]:
                break

        async def expired() -> Any:
            rows = await rsafe_json(settings, "exceptions", "list", "--scope", "acme")
            return rows if rows[0]["exception"]["state"] == "expired" else None

        (row,) = await wait_until(expired, 120 + life_s, what="the end of the exception")
    changed = sum(one.get("suppressed_by") == "acme#short" for one in (await verdicts(settings)).values())
    assert (row["uses"]["verdicts"], row["uses"]["changed"]) == (changed, changed)
    code, text, err = await rsafe(settings, "exceptions", "show", "acme#short")
    assert (code, "acme#short: expired" in text, "all categories of author u1" in text) == (0, True, True), err
    code, text, err = await rsafe(settings, "exceptions", "list")
    assert (code, f"changed {changed} verdicts" in text) == (0, True), err
    await rsafe_json(settings, "exceptions", "delete", "acme#short")
    assert await rsafe_json(settings, "exceptions", "list") == []


async def test_put_refuses_what_a_worker_would(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A category of the floor, and a text without a key: nothing is published, and the one line says why."""
    code, _, err = await rsafe(settings, *put("acme", "--author", "u1", "--category", "U7"))
    assert (code, "categories: expected only categories of the tenant's own policy" in err) == (1, True), err
    monkeypatch.delenv("RSAFE_DIGEST_KEY")
    code, _, err = await rsafe(settings, *put("acme", "--text", "hello"))
    assert (code, "digest_key is not set" in err) == (1, True), err
    code, _, err = await rsafe(settings, "exceptions", "delete", "acme#x")
    assert (code, "there is no exception acme#x" in err) == (2, True), err
    assert await read_all(settings, "exceptions") == []


@pytest.mark.parametrize("ahead_s, life_s", [(5.0, MAX_DAYS * 86400.0), (-7200.0, 3600.0)], ids=["ahead", "behind"])
async def test_put_fails_where_kafkas_time_makes_the_record_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, ahead_s: float, life_s: float
) -> None:
    """Workers go by Kafka's time and not by a wrong clock here, and a refused record ends the one before it."""
    now = dt.datetime.now(dt.UTC)
    wish = Wish(scope="acme", exception_id="x", owner="o", reason="r", author_id="u1", expires_at=now + A_DAY)
    await lifecycle.put(settings, wish)
    here_s = time.time() + ahead_s
    monkeypatch.setattr("worker.exceptions.lifecycle.time", SimpleNamespace(time=lambda: here_s))
    until = dt.datetime.fromtimestamp(here_s + life_s, dt.UTC)

    with pytest.raises(ExceptionInvalid, match=r"^expires_at: .*acme#x has no exception now.*again$"):
        await lifecycle.put(settings, msgspec.structs.replace(wish, expires_at=until))

    assert (await lifecycle.show(settings, "acme#x")).state == "refused"


@pytest.mark.slow
async def test_every_worker_follows_a_topic_that_grows(settings: Settings) -> None:
    """A record in a new partition counts; a delete reaches every partition that holds the key."""
    said = Message(tenant_id="acme", message_id="m", text="hello", author_id="u1")
    stores = [
        ExceptionStore(
            msgspec.structs.replace(settings, instance_id=name), FixedPolicies(), Metrics(CollectorRegistry())
        )
        for name in ("first", "second")
    ]

    def held(key: str) -> bool:
        now_ms = round(time.time() * 1000) + DELAY_MS
        return all(key in {one.key for one in store.matching(said, now_ms)} for store in stores)

    try:
        await asyncio.gather(*(store.start() for store in stores))
        await publish(settings, "acme#x", fields(author_id="u2"), partition=0)
        await create_topics(settings.bootstrap_servers, settings.topic_prefix, 6)
        await publish(settings, "acme#x", fields(author_id="u1"), partition=5)
        await wait_until(lambda: held("acme#x"), what="the record in the new partition")
        await publish(settings, "acme#y", fields(name="y", author_id="u1"), partition=1)
        await wait_until(lambda: held("acme#y"), what="the second exception, in both workers")
        await wait_until(lambda: not any(store.stale() for store in stores))

        await lifecycle.delete(settings, "acme#x")

        await wait_until(lambda: not held("acme#x"), what="the end of the first exception")
    finally:
        await asyncio.gather(*(store.stop() for store in stores))
    tombstones = {one.partition for one in await read_all(settings, "exceptions") if one.value is None}
    assert tombstones == {0, 5}


async def test_it_waits_for_its_topic_and_intake_for_it(broker: KafkaAddress, topic_prefix: str) -> None:
    """A missing topic is no failure, and the cure is named; while exceptions may be old, nothing is read."""
    settings = settings_for(broker.bootstrap_servers, topic_prefix)
    store = ExceptionStore(settings, FixedPolicies(), Metrics(CollectorRegistry()))
    starting = asyncio.create_task(store.start())
    try:
        assert "rsafe topics create" in await wait_until(lambda: store.trouble or "")
        assert store.stale()
        await make_topics(settings, 1)
        async with running(settings, exceptions=store) as plane:
            await asyncio.wait_for(starting, 20)
            await wait_until(plane.joined.is_set)
            await send(settings, [message(1)])
            await until_verdicts(settings, 1)
            store._following.current_at_s = None
            assert any("exceptions may be old" in reason for reason in plane.unready())
            await wait_until(lambda: not store.stale(), what="an answer about exceptions")
    finally:
        await store.stop()
