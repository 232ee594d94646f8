"""What our own commands send and how they read outcomes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from worker.client import DeadLetter, message_key, read_dead_letter
from worker.errors import DecodeError
from worker.records import Message

HEADERS = [
    ("stage", b"decode"),
    ("error", b"DecodeError"),
    ("error_detail", b"text: expected a string"),
    ("source_topic", b"moderation.messages"),
    ("source_partition", b"3"),
    ("source_offset", b"41"),
]


def test_a_conversation_has_one_key() -> None:
    """The key is tenant and conversation, so that a conversation stands in one partition."""
    message = Message(tenant_id="acme", message_id="m", text="", conversation_id="c")
    assert message_key(message) == b"acme/c"


def test_a_message_without_conversation_goes_by_its_own_id() -> None:
    """Edits of a message keep its partition."""
    assert message_key(Message(tenant_id="acme", message_id="m", text="")) == b"acme/m"


def test_the_last_header_of_a_name_counts() -> None:
    """The original record may have had headers of the same names."""
    record = SimpleNamespace(headers=[("stage", None), ("source_offset", b"forged"), *HEADERS])
    assert read_dead_letter(record) == DeadLetter(
        place=(3, 41),
        topic="moderation.messages",
        stage="decode",
        error="DecodeError",
        detail="text: expected a string",
    )


@pytest.mark.parametrize("missing", [name for name, _ in HEADERS])
def test_a_record_without_its_headers_is_no_dead_letter(missing: str) -> None:
    """Whoever wrote it, it was not this program."""
    record = SimpleNamespace(headers=[header for header in HEADERS if header[0] != missing])
    with pytest.raises(DecodeError, match="headers"):
        read_dead_letter(record)
