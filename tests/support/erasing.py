"""Words planted in messages, a judge that quotes them, and where they are found again."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from aiokafka.admin import NewTopic

from tests.support import policy_topics
from tests.support.dataplane import (
    count,
    make_topics,
    producer,
    read_all,
    running,
    send,
    settings_for,
    until_verdicts,
)
from tests.support.waiting import wait_until
from worker import credentials
from worker.config import Settings
from worker.erasure.subject_keys import KEYS, row_of
from worker.erasure.subjects import Names, Subject
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.policy.model import EffectivePolicy
from worker.records import Message, sha256_hex
from worker.sealing import new_key
from worker.secret import Secret
from worker.topics import catalogue

DIGEST_KEY: Final = "not a real secret, but long enough"
TENANT: Final = "acme"
#: What each author writes; the words stand nowhere else.
WORDS: Final = {"alice": "plumtree velveteen harbourside", "bob": "coppersmith lanterns orchardist"}


class QuotingJudge(ScriptedJudge):
    """The scripted judge, whose reasoning repeats the message as a model's may."""

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge by the tags, and quote."""
        made = await super().judge(message, policy, priority=priority)
        quote = f"It says: {message.text}"
        digest = sha256_hex(message.text.encode())
        return msgspec.structs.replace(made, reasoning=quote, raw=f"{quote}\nsafe", prompt_digest=digest)


def sealing_settings(bootstrap_servers: str, prefix: str, **fields: Any) -> Settings:
    """Return settings with ``erasure = on``."""
    chosen: dict[str, Any] = {"erasure": "on", "digest_key": Secret(DIGEST_KEY), "shadow_share": 1.0}
    return settings_for(bootstrap_servers, prefix, **(chosen | fields))


def variables(settings: Settings) -> dict[str, str]:
    """Return the environment in which a command seals and opens."""
    return {"RSAFE_ERASURE": settings.erasure, "RSAFE_DIGEST_KEY": settings.digest_key.reveal()}


async def make_sealing_topics(settings: Settings) -> None:
    """Create all topics, ``subject-keys`` with compaction as fast as Kafka allows it."""
    eager = {"cleanup.policy": "compact"} | policy_topics.EAGER
    async with policy_topics.admin(settings) as client:
        await client.create_topics([NewTopic(settings.topic(KEYS), 1, 1, topic_configs=eager)])
    await make_topics(settings)


def written_by(author: str, number: int, tag: str = "") -> bytes:
    """Return a message of an author, with that author's words."""
    fields = {"tenant_id": TENANT, "message_id": f"{author}-{number}", "author_id": author}
    return json.dumps(fields | {"text": f"{tag} {WORDS[author]} {number}"}).encode()


def poison_by(author: str) -> bytes:
    """Return what is no message, with that author's words."""
    return json.dumps({"tenant_id": TENANT, "author_id": author, "text": [WORDS[author]]}).encode()


async def judged(settings: Settings, values: list[bytes], letters: int = 0) -> None:
    """Have a data plane judge values, some of which are poison."""
    verdicts, before = await count(settings, "verdicts"), await count(settings, "dead-letters")
    async with running(settings, QuotingJudge()):
        await send(settings, values)
        await until_verdicts(settings, verdicts + len(values) - letters)
        await wait_until(lambda: at_least(settings, "dead-letters", before + letters), what="the dead letters")


async def topics_with(settings: Settings, words: str) -> set[str]:
    """Return the topics, without prefix, in which a record holds any of some words, as they are or in base64."""
    needles = {form for word in words.split() for form in _forms(word)}
    found = set()
    for spec in catalogue(settings.topic_prefix):
        for record in await read_all(settings, spec.name.removeprefix(settings.topic_prefix)):
            parts = (record.key, record.value, *(value for _, value in record.headers))
            if any(needle in (part or b"") for part in parts for needle in needles):
                found.add(spec.name.removeprefix(settings.topic_prefix))
    return found


def _forms(word: str) -> Iterable[bytes]:
    yield word.encode()
    # Wherever it begins in a text that was encoded, whole groups of three of its letters stand there as four.
    for shift in range(3):
        shifted = b"\0" * shift + word.encode()
        yield base64.b64encode(shifted)[4 * bool(shift) : len(shifted) // 3 * 4]


def name_of(settings: Settings, author: str) -> str:
    """Return the name that topics know an author by."""
    return Names(credentials.digests(settings)).name(Subject("author", TENANT, author))


async def secrets_of(settings: Settings, author: str) -> set[bytes]:
    """Return every key of an author that still stands in ``subject-keys``, as it is written there."""
    name = name_of(settings, author).encode()
    found = [record for record in await read_all(settings, KEYS) if record.key.startswith(name)]
    values = [json.loads(record.value)["key"] for record in found if record.value]
    return {value.encode() for value in values if value is not None}


async def compacted(settings: Settings, author: str) -> None:
    """Force compaction of ``subject-keys`` until no key of an author is left in it."""

    async def gone() -> bool:
        # Each record may close the segment before it, and only closed ones are compacted.
        key, value = row_of(name_of(settings, "filler"), new_key(), dt.datetime.now(dt.UTC), None)
        async with producer(settings) as client:
            await client.send_and_wait(settings.topic(KEYS), value, key=key)
        return not await secrets_of(settings, author)

    await wait_until(gone, 180, interval_s=0.5, what=f"the keys of {author} are compacted away")


async def at_least(settings: Settings, name: str, wanted: int) -> bool:
    """Tell whether a topic holds so many records."""
    return len(await read_all(settings, name)) >= wanted
