"""The report of a replay: on a page, on a terminal, with labels of people."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.support.comparing import outcome, some_report
from worker.audit.compare import Comparer
from worker.audit.replay.report import read_labels
from worker.audit.replay.report_html import page
from worker.audit.replay.report_show import headlines, show
from worker.audit.replay.report_words import attribution, models_in_words
from worker.errors import UsageError

_EVIL = '<script>alert("x")</script>&\u202e\x1b[31m'
_VOID = {"meta", "line", "circle", "rect", "br"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and whether everything that opens also closes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that opens."""
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def read(text: str) -> Reader:
    """Parse a page."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_a_page_needs_nothing_from_outside() -> None:
    """No script, no link, no address of anything, and a policy that forbids them."""
    text = page(some_report())
    reader = read(text)

    assert reader.tags & {"script", "link", "img", "iframe", "object", "a", "base", "form"} == set()
    assert {name for name, _ in reader.attributes} & {"src", "href", "xlink:href", "action"} == set()
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import", text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes
    assert "svg" in reader.tags


def test_a_page_says_what_the_report_says() -> None:
    """Figures, groups, ids and what became of the offsets stand on it."""
    report = some_report()
    text = read(page(report)).text

    for group in report.comparison.tenants:
        assert group.key in text
        assert all(example.message_id in text for example in group.examples)
    assert f"{report.comparison.total.flips:,}" in text
    assert "12 no messages, 28 outside the filter" in text
    assert "Against the labels of people" in text
    assert report.run.model.fingerprint is not None
    assert report.run.model.fingerprint in text


@pytest.mark.parametrize("field", ["tenant", "category", "message_id", "run_id"])
def test_names_are_never_markup(field: str) -> None:
    """Whatever a producer calls a tenant, a category or a message, it is text on the page."""
    names: dict[str, Any] = {field: _EVIL}
    text = page(some_report(messages=50, **names))
    reader = read(text)

    assert "<script" not in text
    assert "script" not in reader.tags
    assert "\x1b" not in reader.text.replace(_EVIL, "") or field == "run_id"


def test_an_empty_report_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A run of which nothing is there yet gives a page and a terminal's report."""
    report = some_report(messages=0)

    reader = read(page(report))
    show(report)

    assert "nothing to tell from" in reader.text
    assert report.run.run_id in capsys.readouterr().out


def test_a_terminal_is_not_moved(capsys: pytest.CaptureFixture[str]) -> None:
    """Names in tables neither colour nor turn the terminal, and brackets in them are no markup of rich."""
    show(some_report(messages=200, tenant="[red]\x1b[31mshop\u202e"))
    said = capsys.readouterr().out

    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "[red]" in said


def test_the_finding_names_its_cause() -> None:
    """Flips beyond the control are the policy's, the model's or overload's, each only where it was another one."""

    def found(fingerprint: str, flips: int, control: int = 100, rung: str | None = None, policy: str = "p2") -> str:
        comparer = Comparer()
        for offset in range(500):
            label = "unsafe" if offset < flips else "safe"
            after = outcome(offset, label, fingerprint=fingerprint, policy_digest=policy)
            comparer.add(outcome(offset, rung=rung), after)
        for offset in range(control):
            comparer.add_control(outcome(offset), outcome(offset))
        return attribution(comparer.result())

    beyond = "numerics alone do not explain the flips, "
    assert "numerics alone may explain the flips" in found("f1", 0)
    assert found("f1", 100).endswith(beyond + "policy does")
    assert found("f2", 100).endswith(beyond + "policy or model does")
    assert found("f1", 100, rung="label_only").endswith(beyond + "policy or overload does")
    assert found("f2", 100, rung="hold").endswith("policy or model or overload does")
    assert found("f2", 100, policy="p1").endswith(beyond + "model does")
    assert found("f1", 100, rung="hold", policy="p1").endswith(beyond + "overload does")
    same = found("f1", 100, policy="p1")
    assert "policy and model are the same: the original verdicts cannot be repeated" in same
    assert "policy does" not in same
    assert found("f1", 0, rung="label_only").endswith("numerics alone may explain the flips")
    assert "A/A control: none" in found("f1", 100, control=0)


@pytest.mark.parametrize("policy, whose", [("p1", "of the model"), ("p2", "of policy and model together")])
def test_another_model_is_named(policy: str, whose: str) -> None:
    """Its flips are the policy's too only where that is another one; of nothing there is nothing to say."""
    comparer = Comparer()
    comparer.add(outcome(0), outcome(0, "unsafe", fingerprint="f2", policy_digest=policy))

    assert models_in_words(comparer.result()).startswith("another model")
    assert models_in_words(comparer.result()).endswith(f"flips are {whose}")
    assert models_in_words(Comparer().result()) == ""


def test_headlines_say_what_matters() -> None:
    """Flips, cost and time are said before any table."""
    said = "\n".join(headlines(some_report()))

    for part in ("flips: 133 of 1952", "A/A control: 1 flips in 188", "800000 prompt tokens", "754.0 s"):
        assert part in said


def test_what_overload_cut_short_is_said() -> None:
    """How many messages were judged with less one time, and what became of them; nothing where there are none."""
    comparer = Comparer()
    for offset, label in enumerate(("safe", "unsafe")):
        comparer.add(outcome(offset, rung="label_only"), outcome(offset, label))
    report = structs.replace(some_report(), comparison=comparer.result())

    said = "2 messages were judged with less for overload, or held, one time and in full the other: their 1 flips"
    assert any(line.startswith(said) for line in headlines(report))
    assert not any("overload" in line for line in headlines(some_report()))


def test_labels_as_csv_and_as_json_lines(tmp_path: Path) -> None:
    """Both give the same; a tenant may stand beside an id."""
    csv, lines = tmp_path / "labels.csv", tmp_path / "labels.jsonl"
    csv.write_text("message_id,label,tenant_id\nm1,safe,\nm2,unsafe,acme\n")
    lines.write_text('{"message_id":"m1","label":"safe"}\n\n{"message_id":"m2","label":"unsafe","tenant_id":"acme"}\n')

    assert read_labels(csv) == read_labels(lines) == {(None, "m1"): "safe", ("acme", "m2"): "unsafe"}


@pytest.mark.parametrize(
    "text, line",
    [
        ("message_id,label\nm1,toxic\n", 2),
        ('{"message_id":"m1","label":"safe"}\n{"message_id":"m2"', 2),
        ("id\nm1\n", 2),
    ],
)
def test_a_wrong_label_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    """A word that is no label, a line that is no JSON, a column that is missing."""
    file = tmp_path / "labels"
    file.write_text(text)

    with pytest.raises(UsageError, match=f"line {line}: expected message_id, and label as safe or unsafe"):
        read_labels(file)


def test_a_labels_file_that_is_not_there(tmp_path: Path) -> None:
    """It is said before an engine is built."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path / "none")
