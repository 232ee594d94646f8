"""Merkle roots over records, and files of them."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import subprocess
from pathlib import Path, PosixPath
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from worker.audit.verify.merkle import Segment, differences, leaf, root, seal, total
from worker.audit.verify.seals import appending, read_seals
from worker.errors import AuditError, UsageError
from worker.records import encode, sha256_hex


class Record(NamedTuple):
    """A Kafka record."""

    offset: int
    value: bytes | None
    key: bytes | None = b"k"
    timestamp: int = 1000
    headers: tuple[tuple[str, bytes | None], ...] = ()


def by_halving(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 6962, section 2.1, writes it down."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + by_halving(leaves[:half]) + by_halving(leaves[half:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70))
def test_the_root_is_that_of_rfc_6962(leaves: list[bytes]) -> None:
    """Pairing level by level gives the tree that the RFC defines by halving."""
    assert root(leaves) == by_halving(leaves)


@pytest.mark.parametrize(
    "other",
    [
        Record(6, b"v"),
        Record(5, b"w"),
        Record(5, None),
        Record(5, b"v", key=None),
        Record(5, b"", key=b"kv"),
        Record(5, b"v", timestamp=1001),
        Record(5, b"v", headers=(("a", b"b"),)),
        Record(5, b"v", headers=(("a", None),)),
    ],
)
def test_a_leaf_covers_the_whole_record(other: Record) -> None:
    """Offset, timestamp, key, value and headers; no two of them run into each other."""
    assert leaf(other) != leaf(Record(5, b"v"))


def sealed(offsets: list[int], start: int, end: int, previous: str = "") -> tuple[Segment, dict[int, bytes]]:
    """Seal records at some offsets."""
    leaves = {offset: leaf(Record(offset, b"v%d" % offset)) for offset in offsets}
    return seal("t.verdicts", 1, start, end, leaves, "2026-05-01T00:00:00Z", previous), leaves


def test_what_is_as_sealed_has_no_differences() -> None:
    """Holes are known, and what retention took is no difference."""
    segment, leaves = sealed([10, 11, 13], 10, 15)

    assert (segment.holes, total([segment])) == ((12, 14), 3)
    assert differences(segment, leaves, 0) == []
    assert differences(segment, {13: leaves[13]}, 12) == []


def test_each_difference_is_named_by_its_offset() -> None:
    """A changed record, one that is gone, and one that was put into a hole."""
    segment, leaves = sealed([10, 11, 13], 10, 15)
    now = {10: leaf(Record(10, b"changed")), 12: leaf(Record(12, b"new")), 13: leaves[13]}

    assert differences(segment, now, 0) == [
        (10, "it is not what was sealed"),
        (11, "it was sealed and is gone"),
        (12, "it was not there when its place was sealed"),
    ]


def test_a_record_with_the_same_tag_still_breaks_the_root() -> None:
    """Eight bytes only say where; the root says whether."""
    segment, leaves = sealed([10, 11], 10, 12)
    forged = leaves | {11: leaves[11][:8] + bytes(24)}
    ((offset, reason),) = differences(segment, forged, 0)

    assert offset == 10
    assert "root" in reason


def write(path: Path, *segments: Segment) -> None:
    """Write a seal file."""
    path.write_bytes(b"".join(encode(one) + b"\n" for one in segments))


def test_a_seal_file_is_a_chain(tmp_path: Path) -> None:
    """Each line names the one before, so the last digest stands for all; a changed, missing or moved line shows."""
    first, _ = sealed([1], 0, 2)
    second, _ = sealed([2], 2, 3, sha256_hex(encode(first)))
    path = tmp_path / "seals"
    write(path, first, second)

    assert read_seals(path) == ([first, second], sha256_hex(encode(second)))
    late = read_seals(path, {TopicPartition(second.topic, second.partition): first.end})
    assert late == ([second], sha256_hex(encode(second)))
    for lines in ([replace(first, end=3), second], [second], [second, first]):
        write(path, *lines)
        with pytest.raises(AuditError, match=r"line [12] of .* does not follow"):
            read_seals(path)


def test_half_a_line_at_the_end_was_never_sealed(tmp_path: Path) -> None:
    """A writer that is killed leaves one; what was sealed before still counts."""
    first, _ = sealed([1], 0, 2)
    path = tmp_path / "seals"
    path.write_bytes(encode(first) + b"\n" + encode(first)[:40])

    assert read_seals(path) == ([first], sha256_hex(encode(first)))


class OnlyAppended(io.BufferedRandom):
    """A file that only takes what is new, as after ``chattr +a``: Linux refuses to cut it even to its own size."""

    def truncate(self, pos: int | None = None, /) -> int:
        """Refuse."""
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), pos)


class AppendOnly(PosixPath):
    """A path of such a file."""

    def open(self, mode: str = "r", *_: Any, **__: Any) -> Any:
        """Open the file."""
        return OnlyAppended(io.FileIO(self, mode)) if "a" in mode else super().open(mode)


def test_a_whole_file_is_only_appended_to(tmp_path: Path) -> None:
    """Nothing is cut where every line is whole; where one is not and cannot be cut, the cure is named."""
    path = AppendOnly(tmp_path / "seals.jsonl")
    for line in (b"one\n", b"two\n"):
        with appending(path) as file:
            file.write(line)

    assert path.read_bytes() == b"one\ntwo\n"
    with appending(path) as file:
        file.write(b"half a li")
    with pytest.raises(AuditError, match=r"half a line .*Operation not permitted.* another file"), appending(path):
        pass
    assert path.read_bytes() == b"one\ntwo\nhalf a li"


@pytest.mark.parametrize("before", [b"", b"one\n", b"x" * 100_000 + b"\n"])
@pytest.mark.parametrize("half", [b"", b"{", b"y" * 200_000])
def test_half_a_line_is_cut_before_the_next_one(tmp_path: Path, before: bytes, half: bytes) -> None:
    """However long it is and whatever stands before it."""
    path = tmp_path / "seals.jsonl"
    path.write_bytes(before + half)
    with appending(path) as file:
        file.write(b"next\n")

    assert path.read_bytes() == before + b"next\n"


def test_a_file_that_the_system_lets_grow_alone_is_sealed_to(tmp_path: Path) -> None:
    """The real thing, where the file system and the user allow ``chattr +a``."""
    path = tmp_path / "seals.jsonl"
    path.write_bytes(b"one\n")
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+a", path], capture_output=True, check=False).returncode:
        pytest.skip("chattr +a is not possible here: it takes root, and a file system that knows it")
    try:
        with appending(path) as file:
            file.write(b"two\n")
        with pytest.raises(PermissionError), path.open("r+b"):
            pass
    finally:
        subprocess.run([chattr, "-a", path], check=True)

    assert path.read_bytes() == b"one\ntwo\n"


def test_a_line_that_is_no_seal_is_named(tmp_path: Path) -> None:
    """With the number of the line; and a file that is not there with the command that writes one."""
    path = tmp_path / "seals"
    path.write_bytes(b"{}\n")
    with pytest.raises(AuditError, match=r"line 1 of .* is no seal"):
        read_seals(path)
    with pytest.raises(UsageError, match="rsafe audit seal"):
        read_seals(tmp_path / "nowhere")
