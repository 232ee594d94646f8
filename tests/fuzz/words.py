"""Pieces of the formats that come from outside, for a fuzzer that makes inputs of them."""

from __future__ import annotations

from typing import Final, get_args

from tests.fuzz.target import SPLIT
from worker.config import ENV_PREFIX, field_names
from worker.dead_letter import OURS
from worker.records import Category, GoldenCase, HistoryEntry, Message, Policy, Source, Status, Trace, Verdict

_KINDS: Final = (Message, Policy, Category, GoldenCase, Verdict, Trace, Source, HistoryEntry)
_SIGNS: Final = (
    *('{"', '": "', '": ', '", "', "[", "]", "{}", "null", "true", "1e999", "NaN", "\\ud800", "\\udc00", "\\u0000"),
    *("9223372036854775808", "-1", "0.5", "[[[[[[[[", "'''", '"""', " = ", "[[", "#shadow", "#draft", "platform"),
    *("\\boxed{", "\\text{", "unsafe", "safe", "}", "<think>", "</think>", "U7", ", ", "U7/a"),
    *("## Spam (SP2)", "- SP2.a ", "`SP2`: ", "(#SP)", "\r\n", "\u2028", "\u202e", "\x1b[31m", "text,label\n"),
    *(
        "GET /",
        "POST /",
        " HTTP/1.1\r\n",
        "Host: a\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "\r\n\r\n",
    ),
    *("<script>", "&amp;", '"><', "' onload=", "-->", "]]>", "$run_id", "${"),
    *("@", "-1h", "2026-03-01T12:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "redrive_of"),
)


def dictionary() -> str:
    """Return the words in the format of libFuzzer's dictionaries."""
    fields = [f'"{name}"' for kind in _KINDS for name in kind.__struct_fields__]
    settings = [f"{ENV_PREFIX}{name.upper()}=" for name in field_names()] + [f"{name} = " for name in field_names()]
    words = [SPLIT.decode(), *_SIGNS, *fields, *settings, *get_args(Status), *(f"{name}=" for name in sorted(OURS))]
    return "\n".join(f'"{_escaped(word)}"' for word in dict.fromkeys(words)) + "\n"


def _escaped(word: str) -> str:
    return "".join(
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\x{byte:02x}" for byte in word.encode()
    )
