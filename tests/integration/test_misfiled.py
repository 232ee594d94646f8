"""An author's words in dead letters whose record does not say whose they are: they are listed, for a person to look."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.conftest import KafkaAddress
from tests.support.dataplane import producer
from tests.support.erasing import TENANT, WORDS, judged, make_sealing_topics, sealing_settings, written_by
from worker.audit.erasing.erase import erase, plan
from worker.audit.erasing.holds import Request
from worker.config import Settings
from worker.dead_letter import REDRIVE_OF
from worker.dlq.letters import Letter
from worker.dlq.topic import letters
from worker.erasure.subjects import Subject, record_subject

pytestmark = pytest.mark.broker

ALICE: Final = Request(subject=Subject("author", TENANT, "alice"), by="dana")


@pytest.fixture
async def settings(broker: KafkaAddress, topic_prefix: str) -> Settings:
    """Topics of a system that seals."""
    chosen = sealing_settings(broker.bootstrap_servers, topic_prefix)
    await make_sealing_topics(chosen)
    return chosen


def value(author: str, **fields: Any) -> bytes:
    """Return what somebody wrote, without what makes it a message."""
    return json.dumps({"author_id": author, "text": WORDS[author]} | fields).encode()


async def letter_of(settings: Settings, wanted: bytes) -> Letter:
    """Return the dead letter of a value."""
    (found,) = [one for one in await letters(settings) if one.value == wanted]
    return found


def place(letter: Letter) -> str:
    """Return where in messages the record of a letter stands, as ``--record`` takes it."""
    return "/".join(map(str, letter.source))


async def redriven(settings: Settings, letter: Letter, mended: bytes) -> None:
    """Append a message in place of a letter, as ``rsafe dlq redrive`` does."""
    async with producer(settings) as client:
        headers = [(REDRIVE_OF, letter.reference.encode())]
        await client.send_and_wait(settings.topic("messages"), mended, headers=headers)


async def places(settings: Settings) -> tuple[str, ...]:
    """Return what a plan that counts lists for alice."""
    found = (await plan(settings, ALICE, counting=True)).counted
    assert found is not None
    assert found.misfiled is not None
    return found.misfiled


async def test_dead_letters_under_another_name_are_listed_until_they_are_erased(settings: Settings) -> None:
    """Without a tenant, cut off, or sent again under the right tenant; nobody else's, and none that is erased."""
    nobody, other, cut = value("alice"), value("alice", tenant_id="acmee"), value("alice", tenant_id=TENANT)[:-1]
    same, bobs = value("alice", tenant_id="another"), value("bob")
    await judged(settings, [nobody, other, cut, same, bobs, written_by("alice", 1)], letters=5)
    await redriven(settings, await letter_of(settings, other), written_by("alice", 2))
    expected = {place(await letter_of(settings, one)) for one in (nobody, other, cut)}
    unasked = await plan(settings, ALICE, counting=False)

    assert set(await places(settings)) == expected
    assert any("found by --count" in one for one in unasked.not_covered)
    receipt = await erase(settings, ALICE, counting=True)
    assert all(any(one in line for line in receipt.not_covered) for one in expected)

    tenantless = Request(subject=record_subject(place(await letter_of(settings, nobody))), by="dana")
    misnamed = Request(subject=Subject("author", "acmee", "alice"), by="dana")
    for request in (tenantless, misnamed):
        await erase(settings, request, counting=False)
    assert await places(settings) == (place(await letter_of(settings, cut)),)
