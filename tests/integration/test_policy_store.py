"""Policies on a real broker: in force within moments, never lost, the same for all workers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.conftest import KafkaAddress
from tests.support import policy_topics as topics
from tests.support.policies import category, raw
from tests.support.policy_topics import running, version_of
from tests.support.waiting import wait_until
from worker.broker import Broker, BrokerConfig
from worker.config import Settings
from worker.errors import PublishFailed
from worker.policy.log import PolicyLog
from worker.policy.store import PolicyStore
from worker.records import HistoryEntry

pytestmark = pytest.mark.broker

A: Final = category("A", "Alpha")
HATE: Final = category("U7", "Hate", action="hold")


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Settings of one worker, its topics made."""
    made = Settings(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, instance_id="w1", kafka_timeout_s=10
    )
    await topics.create(made)
    return made


async def test_what_is_there_at_the_start_is_in_force_when_start_returns(settings: Settings) -> None:
    """Nothing can be judged under less than the topic held."""
    await topics.publish(settings, ("platform", raw(HATE)), ("acme", raw(A, version=3)), ("acme/lobby", raw(A)))
    async with running(PolicyStore(settings)) as store:
        assert version_of(store, "acme") == 3
        effective = store.resolve("acme", "lobby")
        assert effective is not None
        assert [part.scope for part in effective.parts] == ["platform", "acme", "acme/lobby"]
        assert not store.stale()


async def test_a_change_is_in_force_within_two_seconds(settings: Settings) -> None:
    """Published by a plain Kafka client, without a restart; the digest tells old from new."""
    changed: list[str] = []
    async with running(PolicyStore(settings, on_change=changed.append)) as store:
        assert store.resolve("acme", None) is None
        took = []
        for version in range(1, 6):
            await topics.publish(settings, ("acme", raw(category("A", f"Alpha {version}"), version=version)))
            published = time.monotonic()
            await wait_until(lambda: version_of(store, "acme") == version, 2, interval_s=0.005)  # noqa: B023  (waited for)
            took.append(time.monotonic() - published)
        assert changed == ["acme"] * 5
    assert max(took) < 2, took


async def test_resolving_twice_gives_the_same_object(settings: Settings) -> None:
    """An effective policy is built once for all of its messages; unknown tenants share the floor's."""
    await topics.publish(settings, ("platform", raw(HATE)), ("acme", raw(A)))
    async with running(PolicyStore(settings)) as store:
        assert store.resolve("acme", "x") is store.resolve("acme", None)
        assert store.resolve("stranger", None) is store.resolve("other", "y")
        assert len(store._cache) == 2


async def test_an_invalid_update_keeps_the_last_good_version(settings: Settings) -> None:
    """The refusal is in the history and, byte for byte, in dead-letters with the field that is wrong."""
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", raw(A, version=2)))
        bad = raw(category("A"), version=3)
        (offset,) = await topics.publish(settings, ("acme", bad), headers=[("trace", b"\x00\xff")])
        (letter,) = await wait_until(lambda: topics.read_all(settings, "dead-letters"))
        assert version_of(store, "acme") == 2
    assert (letter.key, letter.value, letter.headers[0]) == (b"acme", bad, ("trace", b"\x00\xff"))
    headers = dict(letter.headers)
    assert headers["error"] == b"PolicyInvalid"
    assert headers["error_detail"].startswith(b"categories[0].name: expected ")
    assert headers["stage"] == b"policy"
    assert headers["attempts"] == b"1"
    assert headers["source_topic"] == settings.topic("policies").encode()
    assert (headers["source_partition"], headers["source_offset"]) == (b"0", str(offset).encode())
    assert headers["source_timestamp"].isdigit()
    assert headers["failed_at"].endswith(b"Z")
    refusal = (await topics.history(settings))[-1]
    assert (refusal.decision, refusal.field, refusal.offset) == ("refused", "categories[0].name", offset)


async def test_the_last_good_version_outlives_a_restart(settings: Settings) -> None:
    """A worker that starts with a bad head takes the good version from the history, and refuses nothing twice."""
    await topics.publish(settings, ("acme", raw(A, version=2)), ("acme", b"not a policy"))
    for _ in range(2):
        async with running(PolicyStore(settings)) as store:
            assert version_of(store, "acme") == 2
            await wait_until(lambda: topics.read_all(settings, "dead-letters"))
    assert [entry.decision for entry in await topics.history(settings)] == ["accepted", "refused"]
    assert len(await topics.read_all(settings, "dead-letters")) == 1


@pytest.mark.slow
async def test_the_last_good_version_outlives_compaction(broker: KafkaAddress, topic_prefix: str) -> None:
    """The good record is gone from the topic, its bad successor is there, and the good one judges."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, kafka_timeout_s=10)
    await topics.create(settings, **topics.EAGER)
    await topics.publish(settings, ("platform", raw(HATE)))
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", raw(A, version=2)), ("acme", b"not a policy"))
        await wait_until(lambda: topics.read_all(settings, "dead-letters"))
        assert version_of(store, "acme") == 2

    async def compacted() -> bool:
        # Each record may close the segment before it, and only closed ones are compacted.
        await topics.publish(settings, ("filler", b"not a policy either"))
        return 1 not in {record.offset for record in await topics.read_all(settings, "policies")}

    await wait_until(compacted, 180, interval_s=0.5, what="offset 1 is compacted away")
    async with running(PolicyStore(settings)) as store:
        effective = store.resolve("acme", None)
        assert effective is not None
        assert [(part.scope, part.version, part.offset) for part in effective.parts] == [
            ("platform", 1, 0),
            ("acme", 2, 1),
        ]


async def test_a_tombstone_takes_the_policy_away(settings: Settings) -> None:
    """The floor alone is left, and versions may start again at 1."""
    await topics.publish(settings, ("platform", raw(HATE)), ("acme", raw(A, version=5)))
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", None))
        await wait_until(lambda: len(getattr(store.resolve("acme", None), "parts", ())) == 1, 2)
        await topics.publish(settings, ("platform", None))
        await wait_until(lambda: store.resolve("acme", None) is None, 2)
        await topics.publish(settings, ("acme", raw(A, version=1)))
        await wait_until(lambda: version_of(store, "acme") == 1, 2)


async def test_a_change_of_the_floor_reaches_every_tenant(settings: Settings) -> None:
    """Tenants that were accepted under the old floor are judged under the new one."""
    await topics.publish(settings, ("platform", raw(HATE)), ("acme", raw(category("U7", action="hold"), A)))
    async with running(PolicyStore(settings)) as store:
        tenants: list[tuple[str, str | None]] = [("acme", None), ("acme", "lobby"), ("stranger", None)]
        before = [store.resolve(*tenant) for tenant in tenants]
        await topics.publish(settings, ("platform", raw(category("U7", "Hate", action="block"), version=2)))
        await wait_until(lambda: version_of(store, "stranger") == 2, 2)
        after = [store.resolve(*tenant) for tenant in tenants]
        actions = [effective.judging.categories[0].action for effective in after if effective]
        assert actions == ["block"] * 3
        assert not {one.digest for one in before if one} & {one.digest for one in after if one}


@pytest.mark.parametrize("state", ["shadow", "draft"])
async def test_a_record_with_a_state_is_never_live(settings: Settings, state: str) -> None:
    """It is decided and kept, and what judges does not change."""
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", raw(A)), (f"acme#{state}", raw(category("B", "Beta"), version=9)))
        await wait_until(lambda: store.scopes() == ["acme", f"acme#{state}"], 2)
        effective = store.resolve("acme", None)
        assert effective is not None
        assert [one.id for one in effective.judging.categories] == ["A"]


@pytest.mark.parametrize(
    "key,value",
    [
        ("a/b/c", raw(A)),
        ("", raw(A)),
        (b"\xff\xfe", raw(A)),
        ("acme#live", raw(A)),
        ("acme", b""),
        ("acme", b"\xff\xfe\x00"),
        ("acme", b"null"),
        ("acme", b'{"title": "x", "version": 1, "categories": null}'),
        ("acme", b"x" * 900_000),
    ],
    ids=["key", "no-key", "key-bytes", "key-state", "empty", "bytes", "null", "field", "huge"],
)
async def test_garbage_is_refused_and_the_store_goes_on(settings: Settings, key: str | bytes, value: bytes) -> None:
    """Whatever stands in the topic, it is a dead letter and the next record is read."""
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, (key, value), (b"\xff\xff", None), ("next", raw(A)))
        await wait_until(lambda: version_of(store, "next") == 1)
        await wait_until(lambda: topics.read_all(settings, "dead-letters"))
    (letter,) = await topics.read_all(settings, "dead-letters")
    assert (letter.key, letter.value) == (key.encode() if isinstance(key, str) else key, value)


async def test_a_key_that_is_not_there_is_refused(broker: KafkaAddress, topic_prefix: str) -> None:
    """Kafka refuses records without a key in compacted topics; one that is not compacted may hold some."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, kafka_timeout_s=10)
    await topics.create(settings, **{"cleanup.policy": "delete"})
    async with topics.producer(settings) as client:
        await client.send_and_wait(settings.topic("policies"), raw(A))
    await topics.publish(settings, ("acme", raw(A)))
    async with running(PolicyStore(settings)) as store:
        assert store.scopes() == ["acme"]
        await wait_until(lambda: topics.read_all(settings, "dead-letters"))
    (letter,) = await topics.read_all(settings, "dead-letters")
    assert (letter.key, letter.value) == (None, raw(A))


async def test_two_workers_that_race_agree(settings: Settings) -> None:
    """Both decide, the first word on each record counts for both, and each refusal is one dead letter."""
    stores = [PolicyStore(msgspec.structs.replace(settings, instance_id=name)) for name in ("w1", "w2")]
    async with running(stores[0]), running(stores[1]):
        records: list[tuple[str | bytes, bytes | None]] = [("platform", raw(HATE))]
        for version in range(1, 11):
            records += [
                ("acme", raw(A, version=version)),
                ("acme", raw(A, version=version, title="twice")),
                ("beta", raw(category("U7", action="block" if version % 3 else "allow"), version=version)),
            ]
        await topics.publish(settings, *records, ("last", raw(A)))
        for store in stores:
            await wait_until(lambda: "last" in store.scopes())  # noqa: B023  (waited for)
        states = [{key: store.resolve(key, None) for key in ("acme", "beta", "stranger")} for store in stores]
        assert states[0] == states[1]
        letters = await wait_until(lambda: enough(settings, 13))
    entries = await topics.history(settings)
    first: dict[int, str] = {}
    for entry in entries:
        first.setdefault(entry.offset, entry.decision)
    assert sorted(first) == list(range(32))
    refused = {offset for offset, decision in first.items() if decision == "refused"}
    assert sorted(int(dict(letter.headers)["source_offset"]) for letter in letters) == sorted(refused)


async def enough(settings: Settings, count: int) -> list[Any]:
    """Return the dead letters once there are so many."""
    letters = await topics.read_all(settings, "dead-letters")
    return letters if len(letters) >= count else []


async def test_a_third_worker_decides_nothing_again(settings: Settings) -> None:
    """What stands in the history is decided for good, whoever starts later."""
    await topics.publish(settings, ("acme", raw(A)), ("beta", b"bad"), ("gone", raw(A)), ("gone", None))
    for name in ("w1", "w2", "w3"):
        async with running(PolicyStore(msgspec.structs.replace(settings, instance_id=name))) as store:
            assert store.scopes() == ["acme"]
    entries = await topics.history(settings)
    assert [(entry.decided_by, entry.decision) for entry in entries] == [
        ("w1", "accepted"),
        ("w1", "refused"),
        ("w1", "accepted"),
        ("w1", "deleted"),
    ]


async def test_each_worker_says_what_it_judges_by(settings: Settings) -> None:
    """At its start and after each change, on policy-applied."""
    await topics.publish(settings, ("acme", raw(A)))
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", raw(A, version=2)))
        # What comes in one fetch takes force at once, and is said once.
        await wait_until(lambda: version_of(store, "acme") == 2)
        await topics.publish(settings, ("acme", None))

        async def three() -> list[Any]:
            said = await topics.applied(settings)
            return said if len(said) >= 3 else []

        said = await wait_until(three)
    assert [(one.instance_id, one.scope, one.version, one.offset) for one in said] == [
        ("w1", "acme", 1, 0),
        ("w1", "acme", 2, 1),
        ("w1", "acme", None, 2),
    ]
    records = await topics.read_all(settings, "policy-applied")
    assert {name for name, _ in records[0].headers} >= {"ce_id", "ce_type", "ce_source", "ce_time", "ce_specversion"}


async def test_it_waits_for_topics_and_names_the_cure(broker: KafkaAddress, topic_prefix: str) -> None:
    """Missing topics are no failure; start returns once they are there."""
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=topic_prefix, kafka_timeout_s=5)
    store = PolicyStore(settings)
    starting = asyncio.create_task(store.start())
    try:
        trouble = await wait_until(lambda: store.trouble or "")
        assert "rsafe topics create" in trouble
        assert store.stale()
        await topics.create(settings)
        await asyncio.wait_for(starting, 10)
        assert store.trouble is None
        assert not store.stale()
    finally:
        await store.stop()


async def test_policies_of_a_silent_topic_grow_stale_and_a_new_topic_is_read(settings: Settings) -> None:
    """What was in force stays while the topic is gone; when it is made again, its records are read from the start."""
    settings = msgspec.structs.replace(settings, policy_max_age_s=1.0)
    await topics.publish(settings, ("acme", raw(A, version=1)), ("acme", raw(A, version=2)))
    async with running(PolicyStore(settings)) as store:
        async with topics.admin(settings) as client:
            await client.delete_topics([settings.topic("policies")])
        await wait_until(store.stale)
        assert version_of(store, "acme") == 2
        await wait_until(lambda: store.trouble)
        async with topics.admin(settings) as client:
            await client.delete_topics([settings.topic(name) for name in ("dead-letters", "policy-applied")])
            await client.delete_topics([settings.topic("policy-history")])
        await wait_until(lambda: recreated(settings))
        await topics.publish(settings, ("acme", raw(A, version=1, title="anew")), ("beta", raw(A)), ("gamma", raw(A)))
        await wait_until(lambda: version_of(store, "gamma") == 1)
        assert version_of(store, "acme") == 1
        await wait_until(lambda: not store.stale())


async def recreated(settings: Settings) -> bool:
    """Create the topics, which fails while Kafka still deletes them."""
    async with topics.admin(settings) as client:
        left = [name for name in await client.list_topics() if name.startswith(settings.topic_prefix)]
    if not left:
        await topics.create(settings)
    return not left


async def test_an_unclear_write_is_settled_by_reading(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision was written and its acknowledgement lost: it is not written again, and the refusal is one letter."""
    write, failures = PolicyLog.append, [PublishFailed("lost acknowledgement")]

    async def append(log: PolicyLog, entries: Iterable[HistoryEntry]) -> None:
        await write(log, entries)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(PolicyLog, "append", append)
    await topics.publish(settings, ("acme", raw(A)), ("beta", b"bad"))
    async with running(PolicyStore(settings)) as store:
        assert store.scopes() == ["acme"]
        await wait_until(lambda: topics.read_all(settings, "dead-letters"))
    assert failures == []
    assert [entry.decision for entry in await topics.history(settings)] == ["accepted", "refused"]
    assert len(await topics.read_all(settings, "dead-letters")) == 1


async def test_dead_letters_that_cannot_leave_hold_nothing_up(settings: Settings) -> None:
    """Without that topic a refusal waits, and the next policy is in force as soon as ever."""
    settings = msgspec.structs.replace(settings, kafka_timeout_s=300)
    async with topics.admin(settings) as client:
        await client.delete_topics([settings.topic("dead-letters")])
    async with running(PolicyStore(settings)) as store:
        await topics.publish(settings, ("acme", b"bad"), ("beta", raw(A)))
        await wait_until(lambda: store.scopes() == ["beta"], 2)
        assert not store.stale()


@pytest.mark.slow
async def test_a_broker_that_comes_back_is_followed_again(tmp_path: Path) -> None:
    """What was in force stays in force while Kafka is killed; changes after its return are in force again."""
    broker = Broker(BrokerConfig(port=0, data_dir=tmp_path / "kafka"))
    await broker.start()
    try:
        settings = Settings(bootstrap_servers=broker.bootstrap_servers, kafka_timeout_s=5, policy_max_age_s=2)
        await topics.create(settings)
        await topics.publish(settings, ("acme", raw(A, version=1)))
        async with running(PolicyStore(settings)) as store:
            broker.kill()
            await wait_until(lambda: store.trouble)
            await wait_until(store.stale)
            assert version_of(store, "acme") == 1
            await broker.start()
            await topics.publish(settings, ("acme", raw(A, version=2)))
            await wait_until(lambda: version_of(store, "acme") == 2)
            await wait_until(lambda: not store.stale())
    finally:
        await broker.stop()


async def test_kafka_away_at_the_start_is_waited_for() -> None:
    """Start neither fails nor returns; stop ends it in bounded time."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = PolicyStore(Settings(bootstrap_servers=f"127.0.0.1:{taken.getsockname()[1]}", kafka_timeout_s=1))
        starting = asyncio.create_task(store.start())
        trouble = await wait_until(lambda: store.trouble or "")
        assert "is Kafka running" in trouble
        assert not starting.done()
        began = time.monotonic()
        await store.stop()
        assert time.monotonic() - began < 6
        starting.cancel()
