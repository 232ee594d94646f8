"""Tables of the READMEs, made from the code: ``python -m worker.docs`` writes each between its markers.

A table ``settings`` stands between ``<!-- settings:begin -->`` and ``<!-- settings:end -->``; a test fails
when one is stale.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from typer.main import get_command

from worker.acls import ROLES, acls, as_json
from worker.cli import app
from worker.config import ENV_PREFIX, Settings, describe
from worker.failures import FAILURES
from worker.metrics import CATALOGUE
from worker.schemas.asyncapi import CHANNELS
from worker.schemas.limits import LIMITS
from worker.topics import DEFAULT_PARTITIONS, catalogue

#: Where tables stand, seen from the repository's root.
PAGES: Final = ("README.md", "worker/README.md", "deploy/README.md")
#: Data that is written beside the tables.
ACLS: Final = Path("deploy") / "acls" / "acls.json"
_MIB: Final = 1024 * 1024
_DAY_MS: Final = 24 * 60 * 60 * 1000
_EXAMPLE: Final = "Example: "


class CommandRow(Struct, frozen=True):
    """One command: its name with those above it, the first sentence of its help, and an example."""

    name: str
    about: str
    example: str


def commands() -> list[CommandRow]:
    """Return every command of ``rsafe``, in the order of ``--help``."""
    return list(_walk(get_command(app), ""))


def _walk(command: Any, path: str) -> Iterator[CommandRow]:
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from _walk(child, f"{path} {name}".strip())
    if not children:
        about = " ".join((command.help or "").split("\n\n")[0].split())
        yield CommandRow(path, about, (command.epilog or "").removeprefix(_EXAMPLE))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def settings_table() -> str:
    """Return every setting with its variable, default and meaning."""
    rows = [
        (f"`{name}`", f"`{ENV_PREFIX}{name.upper()}`", f"`{default}`" if default else "", about)
        for name, default, about in describe()
    ]
    return table(("setting", "variable", "default", "what it is"), rows)


def commands_table() -> str:
    """Return every command with an example."""
    rows = [(f"`{row.name}`", row.about, f"`{row.example}`") for row in commands()]
    return table(("command", "what it does", "example"), rows)


def metrics_table() -> str:
    """Return every metric with its labels and when to look."""
    rows = [
        (f"`{spec.name}`", spec.kind, ", ".join(f"`{label}`" for label in spec.labels), spec.meaning, spec.worry)
        for spec in CATALOGUE
    ]
    return table(("metric", "kind", "labels", "what it says", "look when"), rows)


def failures_table() -> str:
    """Return every failure on a message's path with what becomes of it."""
    rows = [(row.what, row.becomes, ", ".join(f"`{name}`" for name in row.metrics), row.follows) for row in FAILURES]
    return table(("what fails", "it becomes", "seen in", "what follows"), rows)


def topics_table() -> str:
    """Return every topic with its partitions, how long it keeps records, and the largest record."""
    rows = [
        (
            f"`{spec.name}`",
            "1" if spec.single else str(DEFAULT_PARTITIONS),
            _kept(spec.settings),
            f"{int(spec.settings['max.message.bytes']) / _MIB:g} MiB",
            CHANNELS[spec.name].about,
        )
        for spec in catalogue("")
    ]
    return table(("topic", "partitions", "kept", "largest record", "what it holds"), rows)


def acls_table() -> str:
    """Return what each login needs, by topic and group, with the usual prefix and group."""
    rows = [
        (
            f"`{name}`",
            acl.resource,
            f"`{acl.name}{'*' if acl.pattern == 'prefixed' else ''}`",
            ", ".join(acl.operations),
            acl.why,
        )
        for name in ROLES
        for acl in acls(name, Settings())
    ]
    return table(("login", "kind", "name", "may", "for"), rows)


def limits_table() -> str:
    """Return every limit with what follows when it is reached, and the metric that shows it."""
    defaults = {name: default for name, default, _ in describe()}
    rows = [
        (
            one.what,
            f"`{one.bound}` ({defaults[one.bound]})" if one.bound in defaults else one.bound,
            one.then,
            f"`{one.metric}`" if one.metric else "",
        )
        for one in LIMITS
    ]
    return table(("what grows", "limit", "then", "shown by"), rows)


def _kept(settings: Mapping[str, str]) -> str:
    if settings["cleanup.policy"] == "compact":
        return "compacted"
    retention_ms = int(settings["retention.ms"])
    return "for ever" if retention_ms < 0 else f"{retention_ms // _DAY_MS} days"


TABLES: Final[dict[str, Callable[[], str]]] = {
    "settings": settings_table,
    "commands": commands_table,
    "metrics": metrics_table,
    "failures": failures_table,
    "topics": topics_table,
    "limits": limits_table,
    "acls": acls_table,
}
_MARKED: Final = re.compile(
    rf"(?P<begin><!-- (?P<name>{'|'.join(TABLES)}):begin -->\n).*?(?P<end><!-- (?P=name):end -->)", re.DOTALL
)


def fill(text: str) -> str:
    """Return a page with the table between each pair of our markers made anew; other markers are left alone."""
    return _MARKED.sub(_remake, text)


def _remake(found: re.Match[str]) -> str:
    return f"{found['begin']}\n{TABLES[found['name']]()}\n\n{found['end']}"


def main(root: Path) -> None:
    """Fill every page and write the data."""
    (root / ACLS).parent.mkdir(parents=True, exist_ok=True)
    (root / ACLS).write_bytes(as_json(Settings()))
    for page in PAGES:
        path = root / page
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
