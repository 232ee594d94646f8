"""Targets for what is read and shown: what a model writes, prompts, pages, lines for a terminal, HTTP requests."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

from msgspec import structs
from rich.cells import cell_len

from tests.fuzz import seeds
from tests.fuzz.http_server import answer
from tests.fuzz.target import Target, joined, parts
from tests.support.comparing import some_report
from tests.support.judging import category, clauses, message, panel
from worker.audit.replay.report_html import page
from worker.judge import evidence, grammar, parse, placeholders, prompt
from worker.judge.template import DEFAULT_FILE, Template, read_template
from worker.show import TEXT_CELLS, visible

_IDS: Final = ("U7", "SPAM", "a.b-c")
_VOID: Final = {"meta", "line", "circle", "rect", "br"}
_REPORT_MESSAGES: Final = 40


def model_output(data: bytes) -> None:
    """Read what a model wrote, whole and under the grammar; nothing outside the panel is ever cited."""
    first, second = (one.decode("utf-8", "replace") for one in parts(data, 2))
    close = _TEMPLATE.verdict_close
    answered = parse.parse_answer(second, _IDS, close)
    if answered is not None:
        assert set(answered.ids) <= set(_IDS)
        assert len(second.encode()) <= grammar.longest_answer_bytes(_IDS, close)
    for truncated in (False, True):
        found = (
            parse.read(first, answered, _PANEL, _TEMPLATE, truncated=truncated),
            parse.parse_free(first + second, _PANEL, _TEMPLATE, truncated=truncated),
        )
        for one in found:
            assert (one.status == "judged") <= (one.model_label is not None)
            assert {name for _, name in one.cited} <= set(_IDS)
    parse.parse_ids(second, _IDS)


def prompts(data: bytes) -> None:
    """Put a text into a prompt: each of its lines is quoted, and what is masked leads back to where it stood."""
    shown, reasoning = (one.decode("utf-8", "replace") for one in parts(data, 2))
    masked, moves = placeholders.mask(shown)
    assert all(masked[a:b].startswith("[") and shown[c:d] for a, b, c, d in moves)
    assert prompt.conversation(_TEMPLATE, message(shown))
    for quoted in prompt.quoted(shown, "> ").split("\n"):
        assert quoted.startswith("> ")
    for one in evidence.spans(reasoning, shown, masked=True):
        assert 0 <= one.start < one.end <= len(shown)


def html(data: bytes) -> None:
    """Make the report of a replay with names from outside: no tag and no attribute comes of them."""
    names = [one.decode("utf-8", "replace") for one in parts(data, 4)]
    made = some_report(1, _REPORT_MESSAGES, tenant=names[0], category=names[1], message_id=names[2])
    made = structs.replace(made, run=structs.replace(made.run, run_id=names[3], policies=names[0]))
    reader = _Reader()
    reader.feed(page(made))
    reader.close()
    assert not reader.open
    assert reader.tags <= _TAGS, reader.tags - _TAGS
    assert reader.attributes <= _ATTRIBUTES, reader.attributes - _ATTRIBUTES


def terminal(data: bytes) -> None:
    """Show a text on a terminal: it can neither move the cursor nor turn the line around."""
    found = visible(data.decode("utf-8", "surrogateescape"))
    assert all(sign.isprintable() for sign in found)
    assert cell_len(found) <= TEXT_CELLS


class _Reader(HTMLParser):
    """Collects tags and attributes, and what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that opens."""
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag


def _usual() -> tuple[frozenset[str], frozenset[str]]:
    reader = _Reader()
    for size in (_REPORT_MESSAGES, 2 * _REPORT_MESSAGES):
        reader.feed(page(some_report(1, size)))
    return frozenset(reader.tags), frozenset(reader.attributes)


_TEMPLATE: Final[Template] = read_template(DEFAULT_FILE)
_PANEL: Final = panel(*(category(name, violates=clauses("a", "b")) for name in _IDS))
_TAGS, _ATTRIBUTES = _usual()
_ANSWERS: Final = (
    b"He threatens, U7/a.\n</think>\\boxed{\\text{unsafe}} U7",
    b"The message is fine.</think>\\boxed{safe}",
    b"unsafe} U7, SPAM",
    b"Thus it violates: unsafe.",
    b"\\boxed{Unsafe (U7 - threats)}",
)

TARGETS: Final = (
    Target(
        "model-output",
        "what the model writes",
        model_output,
        lambda: [*_ANSWERS, *(joined(one, b"unsafe} U7, SPAM") for one in _ANSWERS), *seeds.NASTY],
    ),
    Target(
        "prompt",
        "texts on their way into a prompt",
        prompts,
        lambda: [
            joined(
                "Call +49 170 1234567 or a@b.example, www.a.example\r\n\u2028@you".encode(), b'He says "a@b.example".'
            ),
            *seeds.NASTY,
        ],
    ),
    Target(
        "html",
        "names in the report of a replay",
        html,
        lambda: [
            joined(b'<script>alert("x")</script>', b'" onload="x', b"</table>", b"$run_id ${about}"),
            *seeds.NASTY,
        ],
        0.05,
    ),
    Target(
        "terminal", "texts on a terminal", terminal, lambda: ["a\u202eb\x1b[31m\u3042\u0301".encode(), *seeds.NASTY]
    ),
    Target(
        "http",
        "raw bytes to the worker's web server",
        answer,
        lambda: [
            *(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"/livez", b"/readyz", b"/metrics", b"/none")),
            b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            b"POST /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"GET http://a/livez HTTP/1.0\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 500 + b"\r\n",
            b"OPTIONS * HTTP/1.1\r\n\r\n",
            *seeds.NASTY,
        ],
        0.02,
    ),
)
