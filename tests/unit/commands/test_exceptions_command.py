"""``rsafe exceptions put`` refuses what is no exception before it asks Kafka anything."""

from __future__ import annotations

import datetime as dt

import pytest
from typer.testing import CliRunner

from worker.audit.exception_uses import Uses
from worker.commands.exceptions import Listed, _expiry, _lines, app, matches
from worker.errors import UsageError
from worker.exceptions.accept import MAX_DAYS
from worker.exceptions.lifecycle import Current
from worker.exceptions.records import ExceptionRecord

_RUNNER = CliRunner()
_NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["acme", "--author", "u1", "--expires", "181d"], "--expires: expected a time after the record's own"),
        (["acme", "--author", "u1", "--expires", "2020-01-01"], "--expires: expected a time after the record's own"),
        (["acme", "--author", "u1", "--expires", "soon"], "--expires 'soon' is no time"),
        (["acme"], "--author: expected an author"),
        (["*", "--tenant", "acme"], "--author: expected an author"),
        (["*", "--author", "u1"], "--tenant: expected the tenant whose author"),
        (["acme", "--author", "u1", "--tenant", "acme"], "--tenant: expected nothing"),
        (["acme/lobby", "--channel", "lobby"], "--channel: expected nothing"),
        (["platform", "--author", "u1"], "SCOPE: expected '*'"),
        (["a b", "--author", "u1"], "SCOPE: expected '*'"),
        (["acme", "--author", "u1", "--id", "a#b"], "--id: expected a string"),
        (["acme", "--author", "u1", "--category", "a b"], "--category: expected"),
        (["acme", "--author", "u1", "--reason", "two\nlines"], "--reason: expected one line"),
        (["acme", "--author", "u1", "--owner", " "], "--owner: expected one line"),
        (["acme", "--text", " "], "--text is empty"),
    ],
)
def test_the_flag_is_named(arguments: list[str], words: str) -> None:
    """What is wrong with a flag is wrong use, said in one line."""
    usual = {"--owner": "trust", "--reason": "a test", "--expires": "1h", "--bootstrap-servers": "127.0.0.1:1"}
    rest = [part for flag, value in usual.items() if flag not in arguments for part in (flag, value)]

    with pytest.raises(UsageError) as caught:
        _RUNNER.invoke(app, ["put", *arguments, *rest], catch_exceptions=False)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_life_counts_from_now() -> None:
    """``7d`` is seven days from now; a time without a zone is UTC."""
    before = dt.datetime.now(dt.UTC)

    assert dt.timedelta(0) <= _expiry("7d") - before - dt.timedelta(days=7) < dt.timedelta(minutes=5)
    assert _expiry("2026-05-01T12:00:00") == dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
    assert _expiry("2026-05-01T12:00:00+02:00") == dt.datetime(2026, 5, 1, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize("life", [f"{MAX_DAYS}d", f"{MAX_DAYS * 24}h"])
def test_the_longest_life_leaves_room_for_clocks_that_differ(life: str) -> None:
    """The end is counted from Kafka's time of the record, which may be before the time here; no other life is cut."""
    longest = dt.timedelta(days=MAX_DAYS)
    before = dt.datetime.now(dt.UTC)

    assert before < _expiry(life) - longest + dt.timedelta(minutes=1) < before + dt.timedelta(seconds=30)
    assert _expiry(f"{MAX_DAYS + 1}d") - before > longest


def test_a_line_says_what_is_matched() -> None:
    """Categories and everything that must match stand in it."""
    record = ExceptionRecord(
        scope="acme/lobby",
        id="x",
        owner="trust",
        reason="a test",
        created_at=_NOW,
        expires_at=_NOW,
        categories=("A", "B"),
        author_id="u1",
    )

    assert matches(record) == "A, B of channel lobby author u1"


def test_any_time_that_a_record_may_hold_is_shown() -> None:
    """Nobody checks when an exception says that it was made; a foreign one is shown as it is."""
    first = dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=12)))
    record = ExceptionRecord(
        scope="acme", id="x", owner="trust", reason="a test", created_at=first, expires_at=_NOW, author_id="u1"
    )
    shown = Current(key="acme#x", state="expired", record=record, digest="d", partition=0, offset=0, from_ms=0)
    row = Listed(exception=shown, uses=Uses())

    assert any("0001-01-01T00:00:00+12:00" in line for line in _lines(row))
