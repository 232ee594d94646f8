"""Orders to running workers, as they are put on the topic."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from tests.support.pausable import Plane
from worker.commands.workers import app
from worker.config import Settings
from worker.errors import UsageError
from worker.records import encode
from worker.stream.control import Command, obey

RUNNER = CliRunner()


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Catch what would be published."""
    found: list[bytes] = []

    async def order(_: Settings, command: Command) -> tuple[int, int]:
        found.append(encode(command))
        return 0, len(found) - 1

    monkeypatch.setattr("worker.commands.workers.order", order)
    return found


@pytest.mark.parametrize(
    "arguments, told, said",
    [
        (
            ("pause", "--reason", "upgrade"),
            ["pause: upgrade"],
            "pause for all workers stands in moderation.commands ",
        ),
        (("resume", "--instance", "me"), ["resume"], "resume for the worker me stands"),
        (("pause", "--instance", "other"), [], "pause for the worker other stands"),
    ],
    ids=["all", "this one", "another"],
)
def test_a_worker_obeys_what_the_command_writes(
    ordered: list[bytes], arguments: tuple[str, ...], told: list[str], said: str
) -> None:
    """The record is read by the worker's own reader."""
    result = RUNNER.invoke(app, [*arguments])
    plane = Plane()
    obey(ordered[0], plane, "me")

    assert (result.exit_code, plane.told) == (0, told)
    assert result.stdout.startswith(said)


def test_the_log_level_is_one_of_four(ordered: list[bytes]) -> None:
    """As JSON for scripts; another word is refused before Kafka is asked."""
    result = RUNNER.invoke(app, ["log-level", "debug", "--json"])
    found: dict[str, Any] = orjson.loads(result.stdout)

    assert (found["command"]["command"], found["command"]["level"], found["offset"]) == ("log_level", "debug", 0)
    assert RUNNER.invoke(app, ["log-level", "loud"]).exit_code == 2
    assert len(ordered) == 1


def test_a_reason_has_an_end(ordered: list[bytes]) -> None:
    """A worker would ignore the record, so it is never written."""
    result = RUNNER.invoke(app, ["pause", "--reason", "x" * 257])

    assert isinstance(result.exception, UsageError)
    assert ordered == []
