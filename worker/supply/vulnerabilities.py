"""Known vulnerabilities of what the locks name: pip-audit on each lock, against a reviewed list of exceptions.

Where the database cannot be reached nothing is checked, and that is said. What is found fails, unless
``deploy/vulnerabilities.toml`` names it with a reason and the date on which somebody looked.
"""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import ConfigError

#: An exception is looked at again after so long.
_VALID: Final = dt.timedelta(days=180)
_TIMEOUT_S: Final = 600
_ANSWER_S: Final = 10
#: The last line of pip-audit's standard error where nobody answered, or no one who knows.
_AWAY: Final = re.compile(r"(?:\w+\.)*(?:ConnectionError|ServiceError|\w*Timeout|ProxyError|SSLError)\b", re.MULTILINE)


class Accepted(Struct, frozen=True, kw_only=True):
    """A vulnerability that does not stop a release."""

    id: str
    package: str
    reason: str
    date: dt.date


class _Exceptions(Struct, frozen=True):
    accepted: tuple[Accepted, ...] = ()


class _Found(Struct, frozen=True):
    id: str
    aliases: tuple[str, ...] = ()
    fix_versions: tuple[str, ...] = ()


class _Dependency(Struct, frozen=True):
    name: str
    version: str = ""
    vulns: tuple[_Found, ...] = ()


class Report(Struct, frozen=True):
    """What pip-audit prints as JSON, as far as it is read here."""

    dependencies: tuple[_Dependency, ...]


def read_exceptions(text: str) -> tuple[Accepted, ...]:
    """Read ``deploy/vulnerabilities.toml``."""
    return msgspec.convert(tomllib.loads(text), _Exceptions).accepted


def audit(lock: Path) -> Report | None:
    """Ask for the known vulnerabilities of everything in a lock; None where the database is away.

    Raises:
        ConfigError: pip-audit failed in another way.

    """
    options = ("--no-deps", "--disable-pip", "--vulnerability-service", "osv", "--timeout", str(_ANSWER_S))
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), *options]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    return read_report(done.stdout, done.stderr)


def read_report(out: str, errors: str) -> Report | None:
    """Return what pip-audit found, from what it wrote; None where the database was away.

    Raises:
        ConfigError: it failed in another way.

    """
    if out.strip():
        return msgspec.json.decode(out, type=Report)
    last = errors.strip().splitlines()[-1:] or ["it wrote nothing"]
    if _AWAY.match(last[0]) or "ConnectionError" in last[0]:
        return None
    text = f"pip-audit failed: {last[0][:200]}; run it by hand with --verbose"
    raise ConfigError(text)


def open_ones(report: Report, accepted: Sequence[Accepted], today: dt.date) -> Iterator[str]:
    """Yield a line for each vulnerability that nobody has accepted lately."""
    names = {(one.package, one.id) for one in accepted if today - one.date <= _VALID}
    for dependency in report.dependencies:
        for found in dependency.vulns:
            if not any((dependency.name, name) in names for name in (found.id, *found.aliases)):
                cure = f"fixed in {', '.join(found.fix_versions)}" if found.fix_versions else "not fixed yet"
                yield f"{dependency.name} {dependency.version}: {found.id} ({cure})"
