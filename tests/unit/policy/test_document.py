"""Policy files in JSON and TOML."""

from __future__ import annotations

import pytest

from worker.errors import PolicyInvalid
from worker.policy.document import as_json, fields_of, with_fields
from worker.records import decode_policy

TOML = b"""
title = "A policy"
version = 2
updated_at = 2025-06-01T12:00:00Z
review_band = [0.4, 0.6]
[[categories]]
id = "A"
name = "Alpha"
violates = [{ id = "v", text = "Something." }]
"""


def test_json_stays_byte_for_byte() -> None:
    """So that the same file published twice is the same record; only a byte order mark goes."""
    raw = b' { "title": "t" ,"version":1, "categories": [] }\n'
    assert as_json(raw) == raw
    assert as_json(b"\xef\xbb\xbf" + raw.lstrip()) == raw.lstrip()


def test_toml_becomes_the_same_record() -> None:
    """Tables, lists and times arrive as their JSON forms."""
    policy = decode_policy(as_json(TOML))
    assert (policy.title, policy.version, policy.review_band) == ("A policy", 2, (0.4, 0.6))
    assert policy.categories[0].name == "Alpha"
    assert policy.updated_at is not None


@pytest.mark.parametrize("raw", [b"[1, 2]", b"\xff", b"title = ", b"just words"])
def test_anything_else_is_refused_without_being_quoted(raw: bytes) -> None:
    """Neither JSON nor TOML."""
    with pytest.raises(PolicyInvalid, match="a JSON object or a TOML document"):
        as_json(raw)


def test_a_field_can_be_replaced_and_unknown_ones_stay() -> None:
    """All else keeps its value and its order."""
    changed = with_fields(b'{"title":"t","version":1,"extra":[1],"categories":[]}', version=7, reason="why")
    assert changed == b'{"title":"t","version":7,"extra":[1],"categories":[],"reason":"why"}'
    with pytest.raises(PolicyInvalid):
        fields_of(b"[]")
