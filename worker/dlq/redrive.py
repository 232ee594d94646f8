"""What is sent when a dead letter is sent again: edited if wanted, and refused where it would only fail again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from worker.dead_letter import LOST_STAGE, REDRIVE_OF
from worker.decoding import UNREADABLE
from worker.dlq.letters import Letter
from worker.errors import DecodeError
from worker.records import decode_message


class Edit(Struct, frozen=True, kw_only=True):
    """What changes in the value: all of it, or some fields of a JSON object (null takes a field away)."""

    value: bytes | None = None
    fields: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Resend(Struct, frozen=True, kw_only=True):
    """A letter and what is to be sent for it, or why nothing is (``refused``)."""

    letter: Letter
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    refused: str | None = None


def resend(letter: Letter, edit: Edit, messages: str, *, force: bool) -> Resend:
    """Decide what happens to one letter.

    Args:
        letter: what is to be sent again.
        edit: what to change in it.
        messages: the full name of the messages topic.
        force: send what was sent before, and what is no message still.

    """
    if letter.topic != messages:
        text = f"it is of {letter.topic} and not of {messages}; use 'rsafe policy put' or 'rsafe exceptions put'"
        return Resend(letter=letter, refused=text)
    if letter.stage == LOST_STAGE:
        text = "retention took it before it was judged, so there is nothing to send; whoever wrote it may send it again"
        return Resend(letter=letter, refused=text)
    if letter.unreadable:
        text = f"nobody can read it here ({letter.unreadable}), so there is nothing to send"
        return Resend(letter=letter, refused=text)
    if letter.superseded_by and not force:
        partition, offset = letter.superseded_by
        text = f"it was sent again already, to {messages}/{partition}/{offset}; --force sends it once more"
        return Resend(letter=letter, refused=text)
    try:
        value = edited(letter.value, edit)
        if not force:
            decode_message(value or b"")
    except DecodeError as error:
        return Resend(letter=letter, refused=f"it would fail again: {error}; edit it with --field or --value")
    headers = (*letter.headers, (REDRIVE_OF, letter.reference.encode()))
    return Resend(letter=letter, value=value, headers=headers)


def edited(value: bytes | None, edit: Edit) -> bytes | None:
    """Return the value after the edit.

    Raises:
        DecodeError: single fields of something that is no JSON object cannot be set.

    """
    if edit.value is not None:
        return edit.value
    if not edit.fields:
        return value
    try:
        found: Any = msgspec.json.decode(value or b"")
    except UNREADABLE:
        found = None
    if not isinstance(found, dict):
        field, expected = "value", "a JSON object, whose fields can be set"
        raise DecodeError(field, expected)
    merged = {name: one for name, one in {**found, **edit.fields}.items() if one is not None}
    return msgspec.json.encode(merged)
