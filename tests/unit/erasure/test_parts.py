"""The small parts of erasure: names of subjects, digests, settings, notes in place of words."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from msgspec import UNSET, structs

from tests.support.streaming import record
from worker import credentials
from worker.audit.erasing.erase import NOT_COVERED, Plan
from worker.audit.erasing.misfiled import named
from worker.audit.verify.facts import KEYED_MISFIT, read_dead_letter, trace_altered
from worker.commands.audit_erase import plan_lines
from worker.config import Settings
from worker.config_load import load
from worker.dead_letter import Failure, headers
from worker.digests import PLAIN, Digests
from worker.erasure.sealed_words import sealed_letter, sealed_trace
from worker.erasure.subject_keys import known_key, open_text, row_of
from worker.erasure.subjects import Names, Subject, subject_of, wanted
from worker.errors import ConfigError, DecodeError, UsageError, WrongDigestKey
from worker.records import Message, Source, Trace, encode
from worker.sealing import new_key
from worker.secret import Secret

SOURCE = Source(topic="moderation.messages", partition=0, offset=5, timestamp=1)
KEYED = Digests(Secret("not a real secret, but long enough"))
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def message(**fields: str) -> Message:
    """Build a message."""
    return Message(tenant_id="a", message_id="m", text="hello", **fields)  # type: ignore[arg-type]


def test_plain_digests_stay_as_they_were() -> None:
    """Without a key every digest is the SHA-256 that it always was, and records do not mention it."""
    assert PLAIN.of_text("reasoning", "hi") == hashlib.sha256(b"hi").hexdigest()
    assert PLAIN.method is UNSET


def test_keyed_digests_differ_by_purpose_and_key() -> None:
    """The same text under another purpose or key has another digest, and none is the plain one."""
    other = Digests(Secret("quite another secret of somebody else"))
    found = {KEYED.of_text("a", "hi"), KEYED.of_text("b", "hi"), other.of_text("a", "hi"), PLAIN.of_text("a", "hi")}

    assert len(found) == 4
    assert KEYED.agree("a", KEYED.of_text("a", "hi"), PLAIN.of_text("a", "hi"), KEYED.method) is True
    assert KEYED.agree("a", "0" * 64, PLAIN.of_text("a", "hi"), KEYED.method) is False
    assert PLAIN.agree("a", "0" * 64, PLAIN.of_text("a", "hi"), "hmac-sha256") is None


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"author_id": "u", "conversation_id": "c"}, Subject("author", "a", "u")),
        ({"conversation_id": "c"}, Subject("conversation", "a", "c")),
        ({}, Subject("record", None, "0/5")),
    ],
    ids=["an author", "no author", "nobody"],
)
def test_whose_words_a_message_holds(fields: dict[str, str], expected: Subject) -> None:
    """The author's, else the conversation's, else the record's own."""
    assert subject_of(message(**fields), SOURCE) == expected


@pytest.mark.parametrize(
    "value, expected",
    [
        (rb'{"author_id": "u-\u0031"}', True),
        (b'{"tenant_id": 7, "author_id": "u-1"}', True),
        (b'{"tenant_id": "a", "author_id": ["u-1"]}', True),
        (b'{"tenant_id": "a", "author_id": "u-1", "te', True),
        (b'{"tenant_id": "b", "author_id": ["u-1"]}', False),
        (b'{"author_id": "u-12"}', False),
        (b"\xff", False),
    ],
)
def test_who_a_record_of_nobody_may_be_about(value: bytes, *, expected: bool) -> None:
    """Whose id stands in it, readable or not, unless it names another tenant; never where a record is asked for."""
    assert named(value, Subject("author", "a", "u-1")) is expected
    assert not named(b'"0/5"', Subject("record", None, "0/5"))


def test_names_tell_nobody_who_it_is() -> None:
    """A name is the same for the same subject and key, differs for all else, and is no plain digest."""
    names = Names(KEYED)
    same = names.name(Subject("author", "a", "u"))
    others = [Subject("author", "b", "u"), Subject("conversation", "a", "u"), Subject("author", "a", "v")]

    assert same == Names(KEYED).name(Subject("author", "a", "u"))
    assert len({same, *map(names.name, others)}) == 4
    names.verify(same)
    with pytest.raises(WrongDigestKey):
        Names(Digests(Secret("quite another secret of somebody else"))).verify(same)


@pytest.mark.parametrize(
    "given, problem",
    [
        ((None, None, None, None), "whose words"),
        (("a", "u", "c", None), "whose words"),
        ((None, "u", None, None), "add --tenant"),
        ((None, None, None, "3"), "PARTITION/OFFSET"),
    ],
)
def test_a_subject_that_is_none_is_refused(given: tuple[str | None, ...], problem: str) -> None:
    """Exactly one, with its tenant, and a place that is one."""
    with pytest.raises(UsageError, match=problem):
        wanted(*given)
    assert wanted(None, None, None, "03/7") == Subject("record", None, "3/7")


def test_erasure_needs_a_secret_that_cannot_be_guessed(tmp_path: Path) -> None:
    """Without, too short, twice, or in a file that is not there: each is named with its cure."""
    with pytest.raises(ConfigError, match=r"erasure = on needs a secret.*digest_key_file"):
        load(environ={"RSAFE_ERASURE": "on"})
    with pytest.raises(ConfigError, match="both set; keep one"):
        load(environ={"RSAFE_DIGEST_KEY": "x", "RSAFE_DIGEST_KEY_FILE": "y"})
    with pytest.raises(ConfigError, match="digest_key cannot be a flag"):
        load(environ={}, flags={"digest_key": "x"})
    with pytest.raises(ConfigError, match=r"fewer than 32 characters.*openssl rand"):
        credentials.digests(Settings(digest_key=Secret("short")))
    with pytest.raises(ConfigError, match="set digest_key_file"):
        Names(PLAIN)
    with pytest.raises(ConfigError, match=r"digest_key_file = .*cannot be read"):
        credentials.digests(Settings(digest_key_file=str(tmp_path / "none")))
    (tmp_path / "key").write_text("not a real secret, but long enough\n", encoding="utf-8")
    read = credentials.digests(Settings(digest_key_file=str(tmp_path / "key")))
    assert read.keyed("a", "hi") == KEYED.keyed("a", "hi")


def trace(reasoning: str, digests: Digests) -> Trace:
    """Build a trace."""
    return Trace(
        trace_id="t",
        verdict_id="v",
        tenant_id="a",
        reasoning=reasoning,
        raw=None,
        reasoning_digest=digests.of_text("reasoning", reasoning),
        truncated=False,
        level="full",
        digest_method=digests.method,
    )


def test_integrity_of_keyed_and_sealed_traces() -> None:
    """A keyed digest is checked by who has the key; a sealed trace has nothing to compare and is whole."""
    good = record(0, encode(trace("because", KEYED)))
    bad = record(0, encode(trace("because", KEYED)).replace(b"because", b"becausE"))

    assert [trace_altered(good, KEYED), trace_altered(good)] == [None, None]
    assert [trace_altered(bad, KEYED), trace_altered(bad)] == [KEYED_MISFIT, None]
    assert trace_altered(record(0, encode(sealed_trace(trace("because", KEYED), new_key()))), KEYED) is None


def test_a_sealed_dead_letter_that_was_changed_is_found() -> None:
    """Its digest covers the sealed bytes; what it holds is not compared with the message."""
    plain = headers([("sealed", b"0" * 32)], Failure.of("decode", DecodeError("", "x")), SOURCE, NOW)
    data, shown = sealed_letter(SOURCE, b"k", b"{", plain, new_key())
    whole = read_dead_letter(record(0, data, shown), "moderation.messages")
    changed = read_dead_letter(record(0, data[:-1] + b"!", shown), "moderation.messages")
    forged = read_dead_letter(record(0, b"{", plain), "moderation.messages")

    assert (whole.altered, changed.altered) == (None, "key and value do not fit the record's content_digest")
    assert whole.outcome is not None
    assert whole.outcome.body is None
    # A producer's own header of that name makes nothing look sealed.
    assert forged.outcome is not None
    assert forged.outcome.body is not None


def test_what_stands_in_place_of_words() -> None:
    """Erased with its date, erased by somebody's tombstone, unknown, or spoilt."""
    key, sealed = new_key(), sealed_trace(trace("because", KEYED), new_key()).sealed
    assert sealed is not UNSET
    erased = record(0, row_of("s", key, NOW, NOW)[1], key=row_of("s", key, NOW, NOW)[0])
    tombstone, junk = record(0, None, key=f"s/{key.id}".encode()), record(0, b"{", key=f"s/{key.id}".encode())

    assert key.secret not in (erased.value or b"")
    assert open_text(sealed, "trace/t", known_key(erased)).note == "erased on 2026-03-01"
    assert open_text(sealed, "trace/t", known_key(tombstone)).note == "erased on a date that nobody wrote"
    assert known_key(junk) is known_key(record(0, b"{}", key=b"no slash")) is None
    assert "not in subject-keys" in (open_text(sealed, "trace/t", None).note or "")


def test_a_plan_says_what_stays() -> None:
    """Each line of what is not covered stands there, and where messages has a retention, its end."""
    plan = Plan(
        subject="s", keys=2, erased=0, messages_until=None, messages_newest=NOW, counted=None, not_covered=NOT_COVERED
    )
    lines = list(plan_lines(plan))
    bounded = list(plan_lines(structs.replace(plan, messages_until=NOW)))
    not_covered = [f"not covered: {one}" for one in NOT_COVERED]

    assert lines[0] == "would erase s: 2 keys, 0 are erased already"
    assert lines[1:] == [*not_covered, "nothing was done; --yes does it"]
    assert bounded[1] == "messages holds the text until 2026-03-01T00:00:00+00:00 at the latest"
