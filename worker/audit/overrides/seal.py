"""The free text of a person's decision, sealed under a key of whoever the decision is about."""

from __future__ import annotations

import datetime as dt

from worker import credentials
from worker.audit.erasing.holds import verify_names, write
from worker.config import Settings
from worker.erasure.erased import Erased
from worker.erasure.sealed_words import sealed_override
from worker.erasure.subject_keys import KEYS, read_erasures, row_of
from worker.erasure.subjects import Names, Subject, record_subject, subject_of
from worker.errors import UsageError
from worker.override_records import Override
from worker.records import Message
from worker.sealing import new_key


async def sealed_for(settings: Settings, made: Override, message: Message | None) -> Override:
    """Return a decision whose free text is sealed under a fresh key, which is published before it returns.

    Args:
        settings: addresses and the ``digest_key``.
        made: the decision.
        message: what it is about; where it is gone, nobody can say whose words those were, and the text
            gets a key of the record alone (``rsafe audit erase --record``).

    Raises:
        UsageError: the subject was erased after the message was sent.
        WrongDigestKey: what is there was named under another ``digest_key``, so no erasure would find the key.
        KeysUnavailable: keys or erasures cannot be read, or the key not published.
        ConfigError: there is no ``digest_key`` that can be used.

    """
    names = Names(credentials.digests(settings))
    subject = _subject(made, message)
    name = names.name(subject)
    await verify_names(settings)
    erased = Erased()
    async for erasure, at_ms in read_erasures(settings):
        erased.take(erasure, at_ms)
    until_ms = erased.until_ms(name)
    if until_ms is not None and (made.source.timestamp or 0) <= until_ms:
        day = dt.datetime.fromtimestamp(until_ms / 1000, dt.UTC).date()
        text = f"the {subject.kind} was erased on {day}; leave out --reason and --text"
        raise UsageError(text)
    key = new_key()
    await write(settings, KEYS, "subject-key", [row_of(name, key, dt.datetime.now(dt.UTC), None)])
    return sealed_override(made, key)


def _subject(made: Override, message: Message | None) -> Subject:
    if message is None:
        return record_subject(f"{made.source.partition}/{made.source.offset}")
    return subject_of(message, made.source)
