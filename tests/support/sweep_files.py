"""What a run left on the disk: output of processes, reports, and the records in Kafka's own files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from aiokafka.record.memory_records import MemoryRecords

from tests.support import planted
from tests.support.log_files import batches
from tests.support.sweep_hooks import EVERYTHING, Look
from worker import dead_letter
from worker.topics import catalogue

#: Files that hold what a process wrote, or what was made to be handed on.
_WRITTEN: Final = frozenset({".err", ".html", ".log", ".out", ".seals"})
_SEGMENT: Final = re.compile(r"\d{20}\.log")
_PARTITION: Final = re.compile(r"(?P<topic>.+)-\d+")
#: Topics whose records hold ids, numbers and digests, and no word of a user.
CLOSED: Final = frozenset(
    {
        "commands",
        "erasures",
        "policy-applied",
        "replay-verdicts",
        "shadow-verdicts",
        "subject-keys",
        "verdicts",
        "__consumer_offsets",
    }
)
#: Topics of reasoning: their texts follow the policy's level.
TRACES: Final = frozenset({"replay-traces", "shadow-traces", "traces"})
#: Topics that hold what platforms, tenants and people write, word for word; a replay keeps the policy it tries.
OPEN: Final = frozenset(
    {"dead-letters", "exceptions", "messages", "overrides", "policies", "policy-history", "replays"}
)
#: Headers of a dead letter that the worker adds; all others are the sender's.
_OURS: Final = dead_letter.OURS - {dead_letter.RAW_NAME}


def sweep(folder: Path, look: Look) -> None:
    """Let ``look`` see everything below a folder that may not hold a planted word."""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in _WRITTEN or path.is_symlink() or not path.is_file():
            continue
        place = str(path.relative_to(folder))
        if _SEGMENT.fullmatch(path.name):
            _sweep_segment(path, place, look)
        else:
            look(path.read_bytes(), f"file {place}", EVERYTHING)


def _sweep_segment(path: Path, place: str, look: Look) -> None:
    found = _PARTITION.fullmatch(path.parent.name)
    name = "" if found is None else topic_name(found["topic"])
    for record in _records(path):
        for what, raw, words in _parts(name, record):
            look(raw, f"{what} of a record in {place}, offset {record.offset}", words)


def topic_name(topic: str) -> str:
    """Return the catalogue's name of a topic, whatever its prefix; a topic of Kafka's own has its own."""
    known = (name for name in names() if topic == name or topic.endswith(f".{name}"))
    return max(known, key=len, default=topic)


def names() -> set[str]:
    """Return the names of all topics in the catalogue."""
    return {spec.name for spec in catalogue("")}


def _parts(name: str, record: Any) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    """Yield what, of one record, may not hold which words."""
    value = bytes(record.value or b"")
    yield "value", value, EVERYTHING if name in CLOSED or _keeps_no_text(name, value) else planted.SECRETS
    yield "key", bytes(record.key or b""), EVERYTHING if name in CLOSED | TRACES else planted.SECRETS
    for header, content in record.headers:
        words = EVERYTHING if _is_ours(name, header) else planted.SECRETS
        yield f"header {header}", header.encode(errors="replace") + b" " + bytes(content or b""), words


def _keeps_no_text(name: str, value: bytes) -> bool:
    """Tell whether a trace is of a level without words; what a test has broken is of none."""
    with suppress(ValueError, AttributeError):
        return name in TRACES and json.loads(value).get("level") in {"redacted", "none"}
    return False


def _is_ours(name: str, header: str) -> bool:
    return name in CLOSED | TRACES | {"policy-history", "replays"} or (name == "dead-letters" and header in _OURS)


def _records(path: Path) -> Iterator[Any]:
    """Yield the records of a segment; a batch that a test has broken holds none."""
    for _, batch in batches(path):
        try:
            held = MemoryRecords(bytes(batch)).next_batch()
            yield from [] if held is None or held.is_control_batch else held
        except Exception:  # noqa: BLE001, S112  (as many kinds as there are ways to break one)
            continue
