"""Targets for what stands in Kafka: records of every topic, their keys and headers, batches, commit metadata."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import struct
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record import util
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.fuzz import seeds
from tests.fuzz.target import MESSAGES, Target, headers_of, joined, parts, record, text
from worker import client, dead_letter, kafka_records
from worker.audit import standing
from worker.audit.explain import policy as explain_policy
from worker.audit.export import statement
from worker.audit.overrides import log as overrides_log
from worker.audit.overrides.overrides import summarize
from worker.audit.replay import originals as replay_originals
from worker.audit.replay import report
from worker.audit.replay import run as replay
from worker.audit.verify import facts
from worker.dlq import letters, redrive
from worker.errors import CorruptPartition, DecodeError, PolicyInvalid, RecordError
from worker.judge.judgement import Judgement
from worker.judge.scripted import ScriptedJudge
from worker.kafka_errors import translated
from worker.override_records import Override
from worker.policy import acks
from worker.policy.history import Book, Incoming, decide_all
from worker.policy.log import _entry
from worker.policy.scope import parse_key, shown
from worker.records import (
    HistoryEntry,
    Message,
    Policy,
    PolicyApplied,
    Timing,
    Trace,
    Verdict,
    decode,
    decode_message,
    encode,
)
from worker.replay_records import ReplayCounts, ReplayRange, ReplayRun
from worker.show import line, row, styled
from worker.stream import control, ledger, outputs, readback
from worker.stream.work import Work, held_bytes, source_of

NOW: Final = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
_CHANNEL: Final = "lobby"


def message(data: bytes) -> None:
    """Take in a record of ``messages`` and publish what comes of it: a verdict or a dead letter, both readable."""
    value, key, headers = parts(data, 3)
    came = record(value, key or None, headers_of(headers))
    closed = ledger.PartitionLedger(3, start=0, bounds=_BOUNDS, ends=_BOUNDS)
    assert held_bytes(came) >= len(value)
    try:
        found = decode_message(value)
    except DecodeError as error:
        _check_letter(came, outputs.dead_letter_of(came, closed, "decode", error))
        return
    found.text.encode()
    client.message_key(found)
    judgement = asyncio.run(_JUDGE.judge(msgspec.structs.replace(found, text=found.text[:40]), _POLICY))
    _check_verdict(came, found, judgement, closed)


def _check_letter(came: Any, outcome: Any) -> None:
    written = record(outcome.row.value, outcome.row.key, outcome.row.headers)
    letter = letters.letter_of(written)
    assert (letter.value, letter.key, letter.source) == (came.value, came.key, (came.partition, came.offset))


def _check_verdict(came: Any, found: Message, judgement: Judgement, at: ledger.PartitionLedger) -> None:
    work = Work(
        tenant_id=found.tenant_id,
        message_id=found.message_id,
        partition=3,
        offset=17,
        tokens=1,
        size_bytes=1,
        record=came,
        message=found,
        ledger=at,
        received_s=0.0,
    )
    made = outputs.Outputs("fuzz", _JUDGE).verdict(work, judgement, _POLICY, _TIMING)
    seen = facts.read_verdict(record(made.row.value, made.row.key, made.row.headers), MESSAGES)
    assert seen.outcome is not None
    assert seen.altered is None


def policies(data: bytes) -> None:
    """Decide about records of ``policies`` in turn, and combine what came into force."""
    book = Book()
    for offset, piece in enumerate(parts(data, 8)):
        key, colon, value = piece.partition(b"\n")
        incoming = Incoming(key=key or None, value=value if colon else None, offset=offset, timestamp=offset)
        before = book.in_force(shown(incoming.key))
        for _, made in decide_all(book, [incoming], by="fuzz", now=NOW):
            book.add(decode(encode(made), HistoryEntry, RecordError))
            if made.decision == "refused":
                assert book.in_force(made.scope) is before
        book.see(incoming)
        with suppress(PolicyInvalid):
            parse_key(incoming.key)
    for scope in book.scopes():
        tenant, _, channel = scope.partition("#")[0].partition("/")
        for tried in (book.effective(tenant, channel or None), *book.rehearsals(tenant, channel or _CHANNEL)):
            assert tried is None or tried


def history(data: bytes) -> None:
    """Read records of ``policy-history`` that anybody may have written, and what audits make of them."""
    book, entries = Book(), []
    for piece in parts(data, 4):
        entry = _entry(record(piece or None))
        if entry is not None:
            entries.append(entry)
            book.add(entry)
            with suppress(PolicyInvalid):
                book.see(
                    Incoming(key=entry.scope.encode(), value=b"{}", offset=entry.offset, timestamp=entry.timestamp)
                )
    for scope in book.scopes():
        book.effective(scope.split("/")[0], None)
    explain_policy.first_words(entries)
    statement.Wordings(entries)


def verdict(data: bytes) -> None:
    """Read a record of ``verdicts`` in every way that our commands and workers read it."""
    value, headers = parts(data, 2)
    came = record(value or None, headers=headers_of(headers))
    facts.read_verdict(came, MESSAGES)
    list(readback._outcome(came, "verdicts", MESSAGES))
    standing._note(standing.Superseded(), value)
    _ReplayedPart().take(came)
    seen = report.seen_of(came)
    assert seen is None or report.outcome_of(seen)
    found = standing.live_verdict(came, MESSAGES)
    if found is not None:
        statement.state(found, came.timestamp, statement.Wordings([]), statement.Wish())
        explain_policy.deciding(found, None)
    with suppress(DecodeError):
        shown_row = row(client.read_verdict(came), "text")
        assert "\n" not in line(shown_row)
        styled(shown_row)


class _ReplayedPart(replay_originals.Originals):
    """The original verdicts of one partition, without a Kafka."""

    def __init__(self) -> None:
        self._topic, self._range = MESSAGES, _RANGE
        self._waiting, self._policies = {}, {}

    def take(self, came: Any) -> None:
        """Take in a record."""
        self._hold(came, 0)
        replay_originals.note_written({"run": replay_originals.Written(_RANGE)}, came)


def trace(data: bytes) -> None:
    """Read a record of ``traces``."""
    value, headers = parts(data, 2)
    came = record(value or None, headers=headers_of(headers))
    facts.trace_altered(came)
    with suppress(DecodeError):
        client.read_trace(came)


def letter(data: bytes) -> None:
    """Read a record of ``dead-letters``, and send it again with and without an edit."""
    value, headers, edit = parts(data, 3)
    came = record(value or None, headers=headers_of(headers))
    facts.read_dead_letter(came, MESSAGES)
    list(readback._outcome(came, "dead-letters", MESSAGES))
    dead_letter.redriven_from(came.headers)
    try:
        found = letters.letter_of(came)
    except DecodeError:
        return
    dead_letter.originals_of(came.headers)
    edits = (
        redrive.Edit(),
        redrive.Edit(value=edit),
        redrive.Edit(fields={"tenant_id": edit.decode(errors="replace")}),
    )
    for one in edits:
        for force in (False, True):
            with suppress(DecodeError):
                redrive.resend(found, one, MESSAGES, force=force)


def command(data: bytes) -> None:
    """Obey a record of ``commands``; only well-formed ones do anything."""
    level = logging.getLogger("worker").level
    control.obey(data or None, _Plane(), "fuzz")
    logging.getLogger("worker").setLevel(level)


class _Plane:
    """Takes commands and does nothing."""

    def pause(self, reason: str) -> None:
        """Take it."""

    def resume(self) -> None:
        """Take it."""


def override(data: bytes) -> None:
    """Read records of ``overrides`` and count what people decided."""
    decisions = overrides_log._Decisions()
    for piece in parts(data, 3):
        decisions.take(record(piece or None), standing.Wanted(from_ms=0))
    every = [said for by_verdict in decisions.last.values() for said in by_verdict.values()]
    summarize([], decisions=every, revised=decisions.revised, unreadable=decisions.unreadable)


def applied(data: bytes) -> None:
    """Read records of ``policy-applied`` and say who holds what."""
    said = []
    for piece in parts(data, 3):
        with suppress(RecordError):
            said.append(decode(piece, PolicyApplied, RecordError))
    acks.Roll(said, ["abc", "other"]).applied("abc", "0" * 64, 7, 0)


def replay_run(data: bytes) -> None:
    """Read a record of ``replays`` and what it says of the run."""
    with suppress(RecordError):
        report.summary(decode(data, ReplayRun, RecordError))


def metadata(data: bytes) -> None:
    """Read the text that goes with a commit: of the workers' group, and of a replay's."""
    found = text(data)
    bounds = ledger.read_metadata(found)
    if bounds is not None:
        ledger.PartitionLedger(0, start=0, bounds=bounds, ends=bounds).commit_point()
    assert isinstance(replay._read_counts(found), ReplayCounts)


def batch(data: bytes) -> None:
    """Read a batch: its records garbled under a checksum that is right, or all of its bytes as they came."""
    kind, rest = data[:1], data[1:]
    raw = _signed(_BATCH[:_RECORDS_AT] + rest) if kind == b"r" else _signed(rest) if kind == b"s" else rest
    place, records_of = TopicPartition(MESSAGES, 3), kafka_records._Records(raw)
    came = PartitionRecords(place, records_of, [(7, 0)], -(2**63), None, None, True, READ_COMMITTED)  # noqa: FBT003
    with suppress(CorruptPartition), translated("reading"):
        for found in came:
            dead_letter.headers(found.headers, _FAILURE, source_of(found), NOW)


def _signed(batch_bytes: bytes) -> bytes:
    """Give a batch a length and a checksum that fit, whatever else it holds."""
    made = bytearray(batch_bytes)
    if len(made) < _RECORDS_AT:
        return batch_bytes
    struct.pack_into(">i", made, 8, len(made) - 12)
    struct.pack_into(">I", made, 17, util.calc_crc32c_py(bytes(made[21:])))
    return bytes(made)


def _built(compression: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    for offset in range(3):
        builder.append(offset, 1_700_000_000_000, b"key", b"value" * 3, [("name", b"1"), ("other", None)])
    return bytes(builder.build())


_RECORDS_AT: Final = 61
_BATCH: Final = _built()
_BOUNDS: Final = ledger.Bounds(verdicts=0, dead_letters=0)
_TIMING: Final = Timing(queue_ms=1.0, engine_ms=1.0, total_ms=2.0)
_JUDGE: Final = ScriptedJudge()
_FAILURE: Final = dead_letter.Failure(stage="decode", error="DecodeError", detail="text: expected a string")
_RANGE: Final = ReplayRange(partition=3, start=0, end=100, verdicts_start=0, verdicts_end=100, outputs_start=0)


def _policy() -> Any:
    from tests.support.judging import policy  # noqa: PLC0415

    return policy()


_POLICY: Final = _policy()


def _policy_records() -> list[bytes]:
    floor = b"platform\n" + seeds.examples("policy/valid")[0]
    some = seeds.examples("policy") + seeds.of_type(Policy)
    alone = [b"shop\n" + one for one in some] + [b"shop/lobby#shadow\n" + one for one in some[:4]]
    return alone + [joined(floor, one) for one in alone[:12]] + [joined(floor, b"platform", b"shop\n{}", b"\xff\n{}")]


TARGETS: Final = (
    Target(
        "message",
        "value, key and headers of a record of `messages`, to its outcome",
        message,
        lambda: [
            joined(one, b"key", b"traceparent=00-a-b-01\n\xff\xfe=1\nerror=x\nraw_header_name")
            for one in (*seeds.examples("message"), *seeds.of_type(Message), *seeds.NASTY)
        ],
    ),
    Target("policies", "keys and values of records of `policies`, to what is in force", policies, _policy_records, 0.7),
    Target(
        "policy-history",
        "records of `policy-history`",
        history,
        lambda: [*seeds.examples("policy-history"), *seeds.of_type(HistoryEntry)],
    ),
    Target(
        "verdict",
        "records of `verdicts`: read-back, audit, export, replay, `send --wait`",
        verdict,
        lambda: [
            *(joined(one, b"content_digest=abc") for one in seeds.verdicts()),
            *seeds.verdicts(),
            *seeds.of_type(Verdict),
            *seeds.NASTY,
        ],
    ),
    Target("trace", "records of `traces`", trace, lambda: [*seeds.examples("trace"), *seeds.of_type(Trace)]),
    Target(
        "dead-letter",
        "records of `dead-letters`: read-back, audit, `dlq`",
        letter,
        lambda: (
            [
                joined(value, seeds.letter_headers(), b'{"text": "b"}')
                for value in (*seeds.examples("message"), *seeds.NASTY, *seeds.of_type(Message))
            ]
            + [joined(b"{}", seeds.letter_headers().replace(b"=1\n", b"=" + b"9" * 5000 + b"\n"))]
        ),
    ),
    Target("command", "records of `commands`", command, lambda: [*seeds.examples("command"), *seeds.NASTY]),
    Target(
        "override", "records of `overrides`", override, lambda: [*seeds.examples("override"), *seeds.of_type(Override)]
    ),
    Target(
        "policy-applied",
        "records of `policy-applied`",
        applied,
        lambda: [*seeds.examples("policy-applied"), *seeds.of_type(PolicyApplied)],
    ),
    Target(
        "replay-run",
        "records of `replays`",
        replay_run,
        lambda: [*seeds.examples("replay-run"), *seeds.of_type(ReplayRun)],
    ),
    Target(
        "commit-metadata",
        "text beside a committed offset",
        metadata,
        lambda: [b'{"verdicts":1,"dead-letters":2}', *seeds.of_type(ReplayCounts), *seeds.NASTY],
    ),
    Target(
        "batch",
        "batches as a broker sends them, header names that are no UTF-8 included",
        batch,
        lambda: [
            b"r" + _BATCH[_RECORDS_AT:],
            b"r" + _BATCH[_RECORDS_AT:].replace(b"name", b"\xff\xfeme"),
            *(kind + _built(codec) for kind in (b"s", b"w") for codec in range(5)),
            b"w" + _BATCH * 2,
        ],
    ),
)
