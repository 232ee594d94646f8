"""Commands to running workers."""

from __future__ import annotations

import logging

import pytest

from tests.support.pausable import Plane
from worker.stream.control import obey


@pytest.mark.parametrize(
    "raw,told",
    [
        pytest.param(b'{"command":"pause","reason":"deploy"}', ["pause: deploy"], id="pause"),
        pytest.param(b'{"command":"resume"}', ["resume"], id="resume"),
        pytest.param(b'{"command":"pause","instance_id":"other"}', [], id="for another worker"),
        pytest.param(b'{"command":"resume","instance_id":"me"}', ["resume"], id="for this worker"),
        pytest.param(b'{"command":"explode"}', [], id="unknown"),
        pytest.param(b"not JSON", [], id="not JSON"),
        pytest.param(None, [], id="tombstone"),
    ],
)
def test_a_command_is_obeyed_or_ignored(raw: bytes | None, told: list[str]) -> None:
    """Commands for this worker act; others and unreadable ones do nothing and never raise."""
    plane = Plane()
    obey(raw, plane, "me")

    assert told == plane.told


def test_the_log_level_can_be_changed() -> None:
    """``log_level`` sets the level of this program's own log."""
    before = logging.getLogger("worker").level
    try:
        obey(b'{"command":"log_level","level":"debug"}', Plane(), "me")

        assert logging.getLogger("worker").level == logging.DEBUG
    finally:
        logging.getLogger("worker").setLevel(before)
