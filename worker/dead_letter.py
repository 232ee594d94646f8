"""What a dead letter adds to the record that it keeps. Pure; policies and the data plane both use it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from worker.errors import WorkerError
from worker.records import Source

#: A header's value may be null in a record that somebody else wrote.
Headers = list[tuple[str, bytes | None]]
#: An error text is cut here, so that a dead letter stays close to the size of its record.
MAX_DETAIL_CHARS: Final = 1000
#: A record's own headers stay in its dead letter up to here. No message has more, so that only names that grow when
#: they are escaped (four letters a byte) can reach it; value and headers together then always fit into 4 MiB.
MAX_ORIGINALS_BYTES: Final = 2 * 1024 * 1024
_HEADER_BYTES: Final = 4
_LEFT_OUT: Final = "; its headers are left out: escaped they would be above the limit"
#: Holds the bytes of a header name that is not UTF-8.
RAW_NAME: Final = "raw_header_name"
#: Stage of a message that retention took before it was judged: nothing is left of it to keep.
LOST_STAGE: Final = "retention"
#: Where one dead letter speaks for a run of lost messages: the offset after the last of them.
OFFSET_END: Final = "source_offset_end"
#: Names the source of a message that was sent again: ``<topic>/<partition>/<offset>``.
REDRIVE_OF: Final = "redrive_of"
#: What a dead letter adds; these follow the originals.
OURS: Final = frozenset(
    {
        RAW_NAME,
        "error",
        "error_detail",
        "stage",
        "attempts",
        "source_topic",
        "source_partition",
        "source_offset",
        "source_timestamp",
        "failed_at",
    }
)


#: Fields that always follow; all of ``OURS`` but ``RAW_NAME``.
_ADDED: Final = len(OURS) - 1


class Run(NamedTuple):
    """Offsets of one partition, the end excluded."""

    topic: str
    partition: int
    start: int
    end: int


class Failure(Struct, frozen=True, kw_only=True):
    """Why a record went to ``dead-letters``.

    ``stage`` is where it failed (``decode``, ``engine``, ``policy``, ``exception``, ``publish``), ``detail`` names
    field and expected type and never a value.
    """

    stage: str
    error: str
    detail: str
    attempts: int = 1

    @classmethod
    def of(cls, stage: str, error: WorkerError, attempts: int = 1) -> Failure:
        """Describe an error of this program."""
        return cls(stage=stage, error=type(error).__name__, detail=str(error), attempts=attempts)


def headers(
    originals: Iterable[tuple[str, bytes | None]], failure: Failure, source: Source, failed_at: dt.datetime
) -> Headers:
    """Return the original headers, byte for byte, and ours after them: the last of a name counts.

    A name that is not UTF-8 cannot be written by aiokafka: it is escaped, and its bytes follow as the
    value of a header ``RAW_NAME`` (one for each such name, in order). Above ``MAX_ORIGINALS_BYTES`` the original
    headers are left out, and ``error_detail`` says so.
    """
    kept = _kept(list(originals))
    left_out = _LEFT_OUT if _size_bytes(kept) > MAX_ORIGINALS_BYTES else ""
    values = {
        "error": failure.error,
        "error_detail": failure.detail[: MAX_DETAIL_CHARS - len(left_out)] + left_out,
        "stage": failure.stage,
        "attempts": str(failure.attempts),
        "source_topic": source.topic or "",
        "source_partition": str(source.partition),
        "source_offset": str(source.offset),
        "source_timestamp": str(source.timestamp),
        "failed_at": failed_at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return [*(() if left_out else kept), *((name, value.encode()) for name, value in values.items())]


def _kept(originals: Headers) -> Headers:
    """Return headers as they can be written, and the bytes of the names that cannot."""
    raw = [name.encode(errors="surrogateescape") for name, _ in originals if not _writable(name)]
    kept: Headers = [(name if _writable(name) else _escaped(name), value) for name, value in originals]
    return kept + [(RAW_NAME, name) for name in raw]


def _size_bytes(written: Headers) -> int:
    return sum(len(name.encode()) + len(value or b"") + _HEADER_BYTES for name, value in written)


def lost_headers(failure: Failure, source: Source, end: int, failed_at: dt.datetime) -> Headers:
    """Return the headers of lost messages: the offset after the last of them, then those of the first.

    Its time is left out where nobody knows it.
    """
    ours = headers((), failure, source, failed_at)
    kept = [(name, value) for name, value in ours if name != "source_timestamp" or source.timestamp is not None]
    return [(OFFSET_END, str(end).encode()), *kept]


def lost_run(written: Iterable[tuple[str, bytes | None]]) -> Run | None:
    """Return what a dead letter declares as lost; None if it is of one message that was kept.

    The stage decides: it is always ours, while any producer may give a message a header like the other one.
    """
    said = dict(written)
    if said.get("stage") != LOST_STAGE.encode():
        return None
    try:
        numbers = [int(said[name] or b"") for name in ("source_partition", "source_offset", OFFSET_END)]
        return Run((said["source_topic"] or b"").decode(), *numbers)
    except (KeyError, ValueError):
        return None


def split(written: Headers) -> tuple[Headers, Headers]:
    """Return what ``headers`` kept of the record, and the fields that it added last."""
    return written[:-_ADDED], written[-_ADDED:]


def originals_of(written: Sequence[tuple[str, bytes | None]]) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers that the record had before it became a dead letter; escaped names stay escaped."""
    missing, count = set(OURS), len(written)
    while count and (written[count - 1][0] in missing or written[count - 1][0] == RAW_NAME):
        count -= 1
        missing.discard(written[count][0])
    return tuple(written[:count])


def redriven_from(written: Iterable[tuple[str, bytes | None]]) -> str | None:
    """Return what a message takes the place of by its headers, if it was sent again; the last of a name counts."""
    found = dict(written).get(REDRIVE_OF)
    return found.decode("utf-8", "replace") if found is not None else None


def _writable(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _escaped(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
