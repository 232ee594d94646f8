"""What logs and terminals are told of errors: where, of which kind, and never what they were given."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from typing import Any, Final

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.support import planted
from tests.support.processes import ROOT
from worker.errors import BrokerAway, DecodeError
from worker.logs import Discreet, adopt
from worker.outline import brief, outline, placed

#: Ends in ways that Python reports by itself.
CRASHES: Final = """
import sys, threading
from tests.support import planted
from worker.logs import guard
guard()
def fail(): raise ValueError(planted.WORDS)
class Bad:
    def __del__(self): fail()
thread = threading.Thread(target=fail)
thread.start(); thread.join()
Bad()
try:
    fail()
except ValueError as error:
    raise KeyError(planted.PASSWORD) from error
"""

#: Imports everything that a command imports before it runs.
IMPORTS: Final = """
import sys, threading
before = threading.excepthook, sys.unraisablehook
import worker.cli, worker.logs
print(sys.excepthook is sys.__excepthook__, threading.excepthook is before[0], sys.unraisablehook is before[1])
"""


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return an error that was raised, for its place."""
    try:
        raise error from cause  # noqa: TRY301  (for its place)
    except BaseException as caught:  # noqa: BLE001  (whatever is given)
        return caught


@pytest.mark.parametrize(
    "error, expected",
    [
        (DecodeError("text", "a string"), "DecodeError: text: expected a string"),
        (BrokerAway("no answer"), "BrokerAway: no answer"),
        (KafkaConnectionError("at kafka:9092"), "KafkaConnectionError: KafkaConnectionError: at kafka:9092"),
        (FileNotFoundError(2, "No such file", "a.pem"), "FileNotFoundError: [Errno 2] No such file: 'a.pem'"),
        (ValueError(planted.WORDS), "ValueError"),
        (KeyError(planted.PASSWORD), "KeyError"),
        (UnicodeDecodeError("utf-8", planted.WORDS.encode(), 0, 1, planted.EMAIL), "UnicodeDecodeError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_texts_of_ours_are_shown(error: Exception, expected: str) -> None:
    """A foreign error is its class; one of this program, of Kafka's client or of the system has its text."""
    assert brief(error) == expected


def test_an_outline_says_where() -> None:
    """Each error of the chain with its files, lines and functions."""
    error = raised(BrokerAway("no answer"), raised(ValueError(planted.WORDS)))

    lines = outline(error).splitlines()

    assert [line for line in lines if not line.startswith("  at ")] == ["BrokerAway: no answer", "ValueError"]
    assert all("tests/unit/test_outline.py:" in line and line.endswith(" in raised") for line in lines[1::2])
    assert placed(raised(ValueError(planted.WORDS))).startswith("ValueError at tests/unit/test_outline.py:")


def test_a_circle_of_causes_ends() -> None:
    """Errors that name each other as their cause are told once each."""
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first

    assert outline(first).splitlines() == ["ValueError", "KeyError"]


def written_by(name: str, *values: Any, **options: Any) -> str:
    """Return what this program's format makes of a logger's line."""
    log, stream = logging.getLogger(name), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Discreet("%(name)s %(message)s"))
    log.addHandler(handler)
    try:
        log.error(*values, **options)
    finally:
        log.removeHandler(handler)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["worker.stream", "aiokafka.consumer", "asyncio", "faust"])
def test_a_line_with_an_error_in_it_quotes_nothing(name: str) -> None:
    """Neither as a value nor as a traceback; the place is there."""
    error = raised(ValueError(planted.WORDS))

    line = written_by(name, "it failed: %r", error, exc_info=error)

    assert planted.found(line) == []
    assert line.startswith(f"{name} it failed: 'ValueError'")
    assert "tests/unit/test_outline.py:" in line


def test_a_loops_report_quotes_nothing() -> None:
    """What asyncio says of a task that nobody waited for holds the text of its error."""
    report = f"Task exception was never retrieved\nfuture: <Task exception=ValueError('{planted.WORDS}')>"

    assert written_by("asyncio", report) == "asyncio Task exception was never retrieved\n"


def test_a_librarys_own_handler_is_made_discreet() -> None:
    """One that a library has set up for itself writes as ours do."""
    log, written = logging.getLogger("outline-library"), io.StringIO()
    log.addHandler(logging.StreamHandler(written))

    adopt("outline-library")
    log.error("it failed", exc_info=raised(ValueError(planted.WORDS)))

    assert "ValueError" in written.getvalue()
    assert planted.found(written.getvalue()) == []


def test_a_crash_quotes_nothing() -> None:
    """In the main thread, in another, in a destructor: classes and places on standard error, no text."""
    done = subprocess.run([sys.executable, "-c", CRASHES], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("rsafe: ")] == [
        "rsafe: a thread ended by ValueError",
        "rsafe: passed over ValueError",
        "rsafe: ended by KeyError",
    ]
    assert planted.found(done.stdout + done.stderr) == []


def test_hooks_are_set_by_a_command_only() -> None:
    """Whoever imports this program keeps Python's own; asked apart, since other tests here run commands."""
    done = subprocess.run([sys.executable, "-c", IMPORTS], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "True True True\n"), done.stderr
