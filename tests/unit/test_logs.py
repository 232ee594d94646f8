"""What reaches the log."""

from __future__ import annotations

import logging

from worker.logs import REPEAT_AFTER_S, Sparsely


def _record(name: str, text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file", 1, text, args, None)


def test_a_librarys_repeated_line_is_let_through_once_in_a_while() -> None:
    """The same template of the same library passes once per interval, whatever its values."""
    now_s = [0.0]
    sparsely = Sparsely(lambda: now_s[0])

    assert sparsely.filter(_record("aiokafka.conn", "no answer from %s", "a"))
    assert not sparsely.filter(_record("aiokafka.conn", "no answer from %s", "b"))
    assert sparsely.filter(_record("aiokafka.conn", "something else"))

    now_s[0] = REPEAT_AFTER_S

    assert sparsely.filter(_record("aiokafka.conn", "no answer from %s", "c"))


def test_our_own_lines_always_pass() -> None:
    """This program's own log is never thinned out."""
    sparsely = Sparsely()

    assert all(sparsely.filter(_record("worker.stream.plane", "gap")) for _ in range(3))
