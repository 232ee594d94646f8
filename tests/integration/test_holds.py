"""Holds and the ``digest_key`` on a real broker: who is held loses nothing, and no name is written that none knows."""

from __future__ import annotations

from typing import Any, Final

import pytest
from aiokafka.structs import RecordMetadata
from msgspec import structs

from tests.conftest import KafkaAddress
from tests.support.dataplane import count, running, send, until_verdicts
from tests.support.erasing import (
    TENANT,
    WORDS,
    QuotingJudge,
    at_least,
    judged,
    make_sealing_topics,
    poison_by,
    sealing_settings,
    secrets_of,
    written_by,
)
from tests.support.waiting import wait_until
from worker.audit.erasing import erase as erasing
from worker.audit.erasing import scan
from worker.audit.erasing.erase import erase
from worker.audit.erasing.holds import Request, append, delete_hold, holds, put_hold, record_of
from worker.audit.explain.explain import explain
from worker.audit.explain.find import Hint
from worker.audit.overrides.log import override
from worker.audit.overrides.overrides import Ruling
from worker.config import Settings
from worker.dlq.topic import letters
from worker.erasure.records import Erasure
from worker.erasure.subject_keys import ERASURES, KEYS
from worker.erasure.subjects import Subject
from worker.errors import LegalHold, WrongDigestKey
from worker.secret import Secret

pytestmark = pytest.mark.broker

ALICE: Final = Request(subject=Subject("author", TENANT, "alice"), by="lee", reason="case 4711")
BOB: Final = Request(subject=Subject("author", TENANT, "bob"), by="lee")
UPHELD: Final = Ruling(decision="uphold", reviewer="r", reason="clear")


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Topics of a system that seals."""
    chosen = sealing_settings(broker.bootstrap_servers, topic_prefix)
    await make_sealing_topics(chosen)
    return chosen


def mistaken(settings: Settings) -> Settings:
    """Return the settings of somebody with another ``digest_key``."""
    return structs.replace(settings, digest_key=Secret("quite another secret of somebody else"))


async def test_under_another_digest_key_nothing_is_written(settings: Settings) -> None:
    """A hold would hold nobody, an override would block every erasure: both are refused, and so is a release."""
    await judged(settings, [written_by("alice", 1)])
    await put_hold(settings, ALICE)
    verdict_id = (await explain(settings, "alice-1", TENANT)).verdict.verdict_id
    before = await count(settings, KEYS), await count(settings, ERASURES)
    other = mistaken(settings)
    for attempt in (
        put_hold(other, ALICE),
        delete_hold(other, ALICE),
        erase(other, ALICE, counting=False),
        override(other, verdict_id, UPHELD, Hint()),
    ):
        with pytest.raises(WrongDigestKey, match="set that one"):
            await attempt

    assert (await count(settings, KEYS), await count(settings, ERASURES)) == before
    assert await count(settings, "overrides") == 0


async def test_before_the_first_key_holds_and_erasures_tell_the_digest_key(settings: Settings) -> None:
    """Where nothing is sealed yet, a hold in force or an erasure decides; who put a hold by mistake can release it."""
    other = mistaken(settings)
    await put_hold(other, ALICE)
    for attempt in (put_hold(settings, ALICE), erase(settings, BOB, counting=False)):
        with pytest.raises(WrongDigestKey):
            await attempt
    await delete_hold(other, ALICE)
    await erase(settings, BOB, counting=False)
    before = await count(settings, ERASURES)
    for attempt in (put_hold(other, ALICE), erase(other, BOB, counting=False)):
        with pytest.raises(WrongDigestKey):
            await attempt

    assert await count(settings, ERASURES) == before


async def test_an_older_hold_under_another_digest_key_stops_nobody(settings: Settings) -> None:
    """It holds nobody, and may be past releasing: whoever has the key of subject-keys goes on."""
    await judged(settings, [written_by("alice", 1)])
    void = record_of(mistaken(settings), BOB, "held")
    await append(settings, void)
    held = await put_hold(settings, ALICE)
    assert set(await holds(settings)) == {held.subject, void.subject}
    await delete_hold(settings, ALICE)

    assert (await erase(settings, ALICE, counting=False)).keys == 1


async def test_a_hold_that_comes_while_an_erasure_counts_keeps_every_word(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure ends before it begins."""

    async def held_meanwhile(*arguments: Any) -> Any:
        await put_hold(settings, ALICE)
        return await scan.count(*arguments)

    monkeypatch.setattr(erasing, "count", held_meanwhile)
    await judged(settings, [written_by("alice", 1)])
    with pytest.raises(LegalHold, match="nothing is erased"):
        await erase(settings, ALICE, counting=True)

    assert await count(settings, ERASURES) == 1
    assert len(await secrets_of(settings, "alice")) == 1


async def test_a_beginning_that_stands_under_a_hold_erases_nothing(settings: Settings) -> None:
    """Words of messages from before it are sealed as ever, dead letters too, and decisions about them are taken."""
    await judged(settings, [written_by("alice", 1)])
    await send(settings, [written_by("alice", 2), poison_by("alice")])
    await put_hold(settings, ALICE)
    await append(settings, record_of(settings, ALICE, "begun"))
    async with running(settings, QuotingJudge()):
        await until_verdicts(settings, 2)
        await wait_until(lambda: at_least(settings, "dead-letters", 1), what="the dead letter")
    found = await explain(settings, "alice-2", TENANT)
    await override(settings, found.verdict.verdict_id, UPHELD, Hint())

    assert found.reasoning.trace is not None
    assert WORDS["alice"] in (found.reasoning.trace.reasoning or "")
    assert [one.value for one in await letters(settings)] == [poison_by("alice")]


async def test_a_hold_that_comes_after_the_beginning_stops_the_rest(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys that are there stay, and what was in flight is sealed as ever; erased again after the hold, it is gone."""
    await judged(settings, [written_by("alice", 1)])
    await send(settings, [written_by("alice", 2)])

    async def held_then(settings: Settings, record: Erasure) -> RecordMetadata:
        place = await append(settings, record)
        await put_hold(settings, ALICE)
        return place

    with monkeypatch.context() as patched:
        patched.setattr(erasing, "append", held_then)
        with pytest.raises(LegalHold, match="nothing more is erased"):
            await erase(settings, ALICE, counting=False)
    async with running(settings, QuotingJudge()):
        await until_verdicts(settings, 2)
    found = (await explain(settings, "alice-2", TENANT)).reasoning
    assert found.trace is not None
    assert WORDS["alice"] in (found.trace.reasoning or "")

    await delete_hold(settings, ALICE)
    assert (await erase(settings, ALICE, counting=False)).keys == 2
