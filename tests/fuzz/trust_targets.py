"""Targets for exceptions, keys of subjects, receipts, and what is sealed."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from tests.fuzz import seeds
from tests.fuzz.target import MESSAGES, Target, headers_of, joined, parts, record
from worker.commands.audit_erase import _line
from worker.erasure import sealed_words, subject_keys
from worker.erasure.records import Erasure, SubjectKey
from worker.erasure.subject_keys import KnownKey
from worker.errors import RecordError
from worker.exceptions.book import Book
from worker.exceptions.fingerprint import Fingerprinter
from worker.exceptions.log import incoming
from worker.exceptions.records import ExceptionRecord
from worker.override_records import Override
from worker.records import Message, Source, Trace, decode
from worker.sealing import new_key
from worker.secret import Secret

_SOURCE: Final = Source(topic=MESSAGES, partition=3, offset=17, timestamp=1_700_000_000_000)
_MESSAGE: Final = Message(tenant_id="acme", message_id="m1", text="Sell your house", author_id="u1", channel_id="lobby")
_KEYS: Final = (b"acme#x", b"acme/lobby#x", b"*#x")


def exception(data: bytes) -> None:
    """Read records of ``exceptions`` under one key, and ask what a message falls under."""
    key, *values = parts(data, 4)
    book = Book(Fingerprinter(Secret("a key of tests, long enough to be one")))
    for offset, value in enumerate(values):
        version = book.add(incoming(record(value or None, key, offset=offset)))
        assert version.accepted is None or version.refusal is None
    for after_ms in (0, 10**6, 10**12):
        for found in book.matching(_MESSAGE, 1_700_000_000_000 + after_ms):
            assert found.record.scope in {"*", "acme", "acme/lobby"}


def subject_key(data: bytes) -> None:
    """Read a record of ``subject-keys``."""
    key, value = parts(data, 2)
    found = subject_keys.known_key(record(value or None, key))
    if found is not None:
        subject_keys.open_bytes(b"\0" * 64, "any", found)


def erasure(data: bytes) -> None:
    """Read a record of ``erasures`` and show it."""
    found = subject_keys.erasure_of(record(data))
    if found is not None:
        _line(found)


def sealed(data: bytes) -> None:
    """Open traces, decisions and dead letters whose seal is anything: by nobody, by an erased key, by a wrong one."""
    value, headers = parts(data, 2)
    key = new_key()
    erased = KnownKey(subject="s", id=key.id, secret=None, erased_at=None)
    wrong = KnownKey(subject="s", id=key.id, secret=key.secret, erased_at=None)
    sealed_words.letter_key(headers_of(headers))
    for known in (None, erased, wrong):
        sealed_words.opened_letter(_SOURCE, value, known)
        with suppress(RecordError):
            sealed_words.opened_trace(decode(value, Trace, RecordError), known)
        with suppress(RecordError):
            sealed_words.opened_override(decode(value, Override, RecordError), known)


TARGETS: Final = (
    Target(
        "exception",
        "keys and values of records of `exceptions`, to what a message falls under",
        exception,
        lambda: [
            joined(key, value, value, b"")
            for key in _KEYS
            for value in (*seeds.examples("exception"), *seeds.of_type(ExceptionRecord), *seeds.NASTY)
        ],
    ),
    Target(
        "subject-key",
        "records of `subject-keys`",
        subject_key,
        lambda: [
            joined(b"ab12cd34." + b"0" * 64 + b"/k1", value)
            for value in (*seeds.examples("subject-key"), *seeds.of_type(SubjectKey), *seeds.NASTY)
        ],
    ),
    Target("erasure", "records of `erasures`", erasure, lambda: [*seeds.examples("erasure"), *seeds.of_type(Erasure)]),
    Target(
        "sealed",
        "traces, decisions and dead letters that say they are sealed",
        sealed,
        lambda: [
            joined(value, b"sealed_key=k1")
            for value in (*seeds.examples("trace", "override"), *seeds.of_type(Trace), *seeds.of_type(Override))
        ],
    ),
)
