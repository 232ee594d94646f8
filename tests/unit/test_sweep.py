"""The sweep for planted words (``tests/support/sweep.py``) sees each kind of leak, names it, and fails the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tests.support import planted
from tests.support.processes import ROOT
from tests.support.sweep_files import CLOSED, OPEN, TRACES, names, sweep, topic_name
from tests.support.sweep_hooks import shows_text

#: Each of these tests leaks in one way; none of them fails by itself.
LEAKS: Final = """
import http.server, logging, subprocess, sys, threading, urllib.request
from prometheus_client import CollectorRegistry, Counter
from tests.support import planted
from worker.errors import BrokerAway

PRINTS = "from tests.support import planted; import sys; print(planted.CARD, file=sys.{})"

def test_log():
    logging.getLogger("worker.stream").debug("took %s", planted.EMAIL)

def test_library_log():
    logging.getLogger("aiokafka.consumer").debug("fetched %r", {"text": planted.NAME})

def test_error():
    BrokerAway(f"no answer to {planted.PASSWORD}")

def test_metric():
    Counter("c", "d", ["who"], registry=CollectorRegistry()).labels(planted.PHONE)

def test_child():
    subprocess.run([sys.executable, "-c", PRINTS.format("stderr")], capture_output=True)

def test_file(tmp_path):
    (tmp_path / "worker.err").write_text(planted.API_KEY)

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(planted.IBAN.encode())
    def log_message(self, *args):
        pass

def test_answer():
    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.handle_request).start()
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics").read()
"""
NAMED: Final = (
    (planted.EMAIL, "log of worker.stream, debug: took %s", "test_log"),
    (planted.NAME, "log of aiokafka.consumer, debug: fetched %r", "test_library_log"),
    (planted.PASSWORD, "text of BrokerAway", "test_error"),
    (planted.PHONE, "label of metric c", "test_metric"),
    (planted.CARD, "standard error of -c", "test_child"),
    (planted.API_KEY, "worker.err", "after the tests"),
    (planted.IBAN, "answer over HTTP", "test_answer"),
)
CLEAN: Final = """
import logging

def test_nothing(tmp_path):
    logging.getLogger("worker").debug("partition 3 offset 17")
    (tmp_path / "notes.txt").write_text("not an output of anything")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Lend a folder that the sweep over the run of this test does not see."""
    with tempfile.TemporaryDirectory(prefix="rsafe-leaks-") as made:
        yield Path(made)


def run(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests with this project's conftest, in a process of their own."""
    (folder / "test_it.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p"]
    places = ["no:cacheprovider", "--rootdir", str(folder), "--basetemp", str(folder / "tmp"), str(folder)]
    return subprocess.run(
        [*command, *places, *options],
        env=os.environ | {"REQUIRE": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["one process", "pytest-xdist"])
def test_each_leak_is_named(folder: Path, options: tuple[str, ...]) -> None:
    """The run fails though every test passed, and says which word stood where in which test."""
    done = run(folder, LEAKS, *options)

    assert f"{len(NAMED)} passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1
    assert f"{len(NAMED)} places hold planted words" in done.stdout
    for word, place, test in NAMED:
        assert re.search(rf"{re.escape(repr(word))} in .*{re.escape(place)}.* \(.*{test}", done.stdout), done.stdout


def test_a_clean_run_passes(folder: Path) -> None:
    """Where nothing leaks there is no word about it."""
    done = run(folder, CLEAN)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "planted" not in done.stdout


def segment(folder: Path, topic: str, value: bytes, headers: list[tuple[str, bytes]] | None = None) -> None:
    """Write a segment as Kafka does: one compressed batch with one record."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=4,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=0,
    )
    builder.append(0, timestamp=0, key=b"k", value=value, headers=headers or [])
    (folder / f"t1.{topic}-0").mkdir()
    (folder / f"t1.{topic}-0" / f"{0:020}.log").write_bytes(bytes(builder.build()))


def found_in(folder: Path) -> list[tuple[str, str]]:
    """Return what the sweep finds on the disk: words and the parts of records."""
    found: list[tuple[str, str]] = []

    def look(text: str | bytes, place: str, words: tuple[str, ...]) -> None:
        found.extend((word, place.partition(" of a record in ")[0]) for word in planted.found(text, words))

    sweep(folder, look)
    return found


FULL: Final = b'{"level":"full","reasoning":"%s"}'
BARE: Final = b'{"level":"redacted","reasoning":"%s"}'
WHO: Final = planted.EMAIL.encode()


@pytest.mark.parametrize(
    "topic, value, headers, expected",
    [
        ("verdicts", b'{"id":"%s"}' % WHO, [], [(planted.EMAIL, "value")]),
        ("verdicts", b"{}", [("traceparent", WHO)], [(planted.EMAIL, "header traceparent")]),
        ("shadow-verdicts", WHO, [], [(planted.EMAIL, "value")]),
        ("traces", FULL % WHO, [], []),
        ("traces", BARE % WHO, [], [(planted.EMAIL, "value")]),
        ("replay-traces", BARE % WHO, [], [(planted.EMAIL, "value")]),
        ("dead-letters", WHO, [("x", WHO), ("error", b"DecodeError")], []),
        ("dead-letters", WHO, [("error_detail", WHO)], [(planted.EMAIL, "header error_detail")]),
        ("messages", WHO, [planted.HEADER], []),
        ("messages", planted.PASSWORD.encode(), [], [(planted.PASSWORD, "value")]),
        ("policy-history", b"{}", [("ce_id", WHO)], [(planted.EMAIL, "header ce_id")]),
    ],
)
def test_records_are_looked_at_by_their_topic(
    folder: Path, topic: str, value: bytes, headers: list[tuple[str, bytes]], expected: list[tuple[str, str]]
) -> None:
    """Compressed as they lie there: closed topics hold no word at all, open ones none in headers of ours."""
    segment(folder, topic, value, headers)

    assert found_in(folder) == expected


def test_a_broken_batch_ends_no_sweep(folder: Path) -> None:
    """Tests break batches on purpose; what lies elsewhere is still looked at."""
    segment(folder, "verdicts", WHO)
    segment(folder, "replay-verdicts", WHO)
    broken = folder / "t1.replay-verdicts-0" / f"{0:020}.log"
    broken.write_bytes(broken.read_bytes()[:-10] + b"x" * 10)

    assert (planted.EMAIL, "value") in found_in(folder)


def test_every_topic_has_a_rule() -> None:
    """A topic that is added has to be put on one of the lists."""
    assert CLOSED - {"__consumer_offsets"} | TRACES | OPEN == names()
    assert CLOSED & TRACES | CLOSED & OPEN | TRACES & OPEN == set()
    assert {topic_name(f"t1.{name}") for name in names()} == names()
    assert topic_name("__consumer_offsets") in CLOSED


@pytest.mark.parametrize(
    "words, shows",
    [
        ([sys.executable, "-m", "worker", "dlq", "show", "3/17"], True),
        ([sys.executable, "-m", "worker", "dlq", "list"], False),
        ([sys.executable, "-m", "worker", "run"], False),
        ([sys.executable, "-m", "tests.support.plane_process", "judge"], False),
    ],
)
def test_commands_that_show_text_are_known(words: list[str], shows: bool) -> None:  # noqa: FBT001  (a table)
    """Only what somebody asked to see may be on standard output."""
    assert shows_text(words) is shows
