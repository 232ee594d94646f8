"""What the READMEs say is what the code does: settings, commands, metrics, topics, tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from typer.main import get_command

from worker import docs
from worker.cli import app
from worker.config import field_names
from worker.metrics import CATALOGUE
from worker.schemas.asyncapi import CHANNELS
from worker.schemas.json_schema import RECORDS
from worker.topics import catalogue

ROOT: Final = Path(__file__).resolve().parents[2]
#: Commands that other programs rely on.
PROMISED: Final = (
    "run",
    "broker",
    "topics create",
    "send",
    "judge",
    "policy put",
    "policy get",
    "policy list",
    "policy delete",
    "policy history",
    "policy lint",
    "policy test",
    "policy rollback",
    "train sft",
    "bench",
    "demo",
    "doctor",
)


def page(name: str) -> str:
    """Read a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def options(command: Any, path: str = "") -> dict[str, Any]:
    """Return every command and group with its name."""
    found = {path: command} if path else {}
    for name, child in getattr(command, "commands", {}).items():
        found |= options(child, f"{path} {name}".strip())
    return found


@pytest.mark.parametrize("name", docs.PAGES)
def test_tables_are_fresh(name: str) -> None:
    """Each table is as it would be made now; ``make generate`` writes it again."""
    text = page(name)

    assert docs.fill(text) == text


@pytest.mark.parametrize("table", docs.TABLES)
def test_every_table_stands_in_one_page(table: str) -> None:
    """Each table is in one of the pages, once."""
    text = "".join(page(name) for name in docs.PAGES)

    assert text.count(f"<!-- {table}:begin -->") == text.count(f"<!-- {table}:end -->") == 1


def test_tables_are_whole() -> None:
    """Every setting, metric and topic has its row; a bar in a cell does not split it."""
    assert len(docs.settings_table().splitlines()) == 2 + len(field_names())
    assert len(docs.metrics_table().splitlines()) == 2 + len(CATALOGUE)
    assert len(docs.topics_table().splitlines()) == 2 + len(catalogue(""))
    assert docs.table(["a"], [["x | y"]]) == "| a |\n| --- |\n| x \\| y |"


def test_filling_twice_changes_nothing() -> None:
    """A page is made anew between markers only, and is stable from then on."""
    before = "above\n<!-- topics:begin -->\nold\n<!-- topics:end -->\n<!-- else:begin -->\n<!-- else:end -->\n"
    once = docs.fill(before)

    assert once.startswith("above\n<!-- topics:begin -->\n\n| topic |")
    assert once.endswith("|\n\n<!-- topics:end -->\n<!-- else:begin -->\n<!-- else:end -->\n")
    assert docs.fill(once) == once


def test_every_topic_is_described() -> None:
    """The catalogue and the descriptions name the same topics, and each record is one that has a schema."""
    assert set(CHANNELS) == {spec.name for spec in catalogue("")}
    assert {channel.record for channel in CHANNELS.values()} - {None} <= set(RECORDS)


def test_promised_commands_are_there() -> None:
    """Every command that others rely on exists."""
    assert set(PROMISED) <= {row.name for row in docs.commands()}


@pytest.mark.parametrize("row", docs.commands(), ids=lambda row: row.name)
def test_every_command_has_help_and_an_example(row: docs.CommandRow) -> None:
    """Each command says what it does and shows how it is called, by its own name."""
    assert row.about.endswith((".", ")."))
    assert f"rsafe {row.name}" in row.example


@pytest.mark.parametrize("row", docs.commands(), ids=lambda row: row.name)
def test_examples_use_options_that_exist(row: docs.CommandRow) -> None:
    """Every flag in an example is a flag of that command."""
    command = options(get_command(app))[row.name]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    own = row.example.split("|")[-1]

    assert set(re.findall(r"(?<!\S)--[a-z-]+", own)) <= known


@pytest.mark.parametrize("name", options(get_command(app)))
def test_every_option_says_what_it_is(name: str) -> None:
    """Every option has a help text."""
    command = options(get_command(app))[name]

    assert [parameter.name for parameter in command.params if getattr(parameter, "help", "x") in {None, ""}] == []


def test_commands_named_in_the_pages_exist() -> None:
    """A page tells nobody to run a command that is not there."""
    names = options(get_command(app))
    for path in (*docs.PAGES, "CHANGELOG.md", "CONTRIBUTING.md", "deploy/README.md", "tests/README.md"):
        shown = re.findall(r"(?:^|`|\$ )rsafe ([a-z]+(?: [a-z][a-z-]*)?)", page(path), re.MULTILINE)
        assert [call for call in shown if not _is_command(call, names)] == [], path


def _is_command(call: str, names: dict[str, Any]) -> bool:
    """Take one word for a command, two for a command of a group."""
    first = names.get(call.split(maxsplit=1)[0])
    return call in names or (first is not None and not hasattr(first, "commands"))


def test_make_targets_named_in_the_pages_exist() -> None:
    """A page tells nobody to make a target that is not there."""
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    for path in (*docs.PAGES, "CONTRIBUTING.md", "deploy/README.md", "tests/README.md", "schemas/README.md"):
        shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", page(path), re.MULTILINE))
        assert shown <= targets, path


def test_paths_named_in_the_pages_exist() -> None:
    """Links between the pages lead to files."""
    for path in (*docs.PAGES, "CONTRIBUTING.md", "deploy/README.md", "tests/README.md", "schemas/README.md"):
        folder = (ROOT / path).parent
        links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page(path))
        assert [link for link in links if not (folder / link).exists()] == [], path


def test_every_suite_is_in_the_table_of_tests() -> None:
    """Each folder of tests has its row in ``tests/README.md``, and each row its folder."""
    suites = {path.parent.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").glob("*/**/test_*.py")}
    rows = set(re.findall(r"^\| `([a-z]+)/`", page("tests/README.md"), re.MULTILINE))

    assert suites <= rows
    assert [row for row in rows if not (ROOT / "tests" / row).is_dir()] == []


def test_tests_named_in_the_table_exist() -> None:
    """The promise about bad input is shown by tests that are really there."""
    named = re.findall(r"`((?:unit|property|integration|engine|fuzz)/\S+?\.py)(?:::(\w+))?`", page("tests/README.md"))

    assert len(named) > 10
    for path, name in named:
        assert f"def {name}" in page(f"tests/{path}"), (path, name)
