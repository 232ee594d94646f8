"""What is told of the exceptions behind a verdict."""

from __future__ import annotations

from typing import Final

from tests.support.excepting import NOW_MS, incoming, plain
from worker.audit.explain.exceptions import _story
from worker.suppression import Suppression

SUPPRESSION: Final = Suppression(exception="acme#x", digest="d", owner="trust", categories=(), whole=True)


def test_each_story_says_what_became_of_the_record() -> None:
    """One that stands is shown; one that is gone, and one that today's rules refuse, are told apart."""
    stands = _story(SUPPRESSION, incoming(plain(author_id="u1")))
    refused = _story(SUPPRESSION, incoming(plain(channel_id="lobby", author="u1")))
    gone = _story(SUPPRESSION, None)

    assert stands.record is not None
    assert (stands.record.author_id, stands.from_ms, stands.note) == ("u1", NOW_MS, None)
    assert [one.record for one in (refused, gone)] == [None, None]
    assert (refused.note or "").startswith("its record is refused today: record: expected fields of its schema alone")
    assert (gone.note or "").startswith("its record is gone")
