"""What this program is made of: bills of materials, licences, known vulnerabilities."""

from __future__ import annotations

import datetime as dt
import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from worker.errors import ConfigError
from worker.jars import pinned_jars
from worker.supply import licences, vulnerabilities
from worker.supply.__main__ import EXCEPTIONS, PAGE, bill, files, review
from worker.supply.licences import NOT_SEEN, UNKNOWN, Licence, is_allowed, trouble
from worker.supply.lock import LOCKS, Pin, pins
from worker.supply.sbom import sbom
from worker.supply.vulnerabilities import Accepted, open_ones, read_report

ROOT: Final = Path(__file__).parents[2]
TODAY: Final = dt.date(2026, 11, 21)
FOUND: Final = json.dumps(
    {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "A-1", "aliases": ["CVE-1"], "fix_versions": ["3"]}]},
            {"name": "odd", "skip_reason": "not there"},
        ],
        "fixes": [],
    }
)


def locked(name: str) -> list[Pin]:
    """Return the pins of a lock."""
    return list(pins((ROOT / LOCKS[name]).read_text(encoding="utf-8")))


def made(name: str) -> dict[str, Any]:
    """Return the bill of materials of a lock as it is in the repository."""
    return dict(json.loads((ROOT / bill(name)).read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def generated() -> dict[Path, str]:
    """What ``make generate`` would write now."""
    return files(ROOT)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_read_whole(name: str) -> None:
    """Every line with a version and every hash of it is in some pin."""
    text = (ROOT / LOCKS[name]).read_text(encoding="utf-8")
    found = locked(name)

    assert len(found) == len(re.findall(r"^[^\s#].*==", text, re.MULTILINE))
    assert sum(len(pin.sha256) for pin in found) == text.count("--hash=sha256:")
    assert {pin.name: pin.marker for pin in found}["colorama"] == "sys_platform == 'win32'"


@pytest.mark.parametrize("path", [bill("cpu"), bill("gpu"), PAGE], ids=str)
def test_generated_files_are_fresh(generated: dict[Path, str], path: Path) -> None:
    """They are what the code makes of the locks and of what is installed here: run ``make generate``."""
    assert (ROOT / path).read_text(encoding="utf-8") == generated[path]


def test_a_bill_is_valid() -> None:
    """CycloneDX 1.6 says so of a distribution for all platforms, one for some, and a jar."""
    everywhere = next(pin for pin in locked("cpu") if not pin.marker)
    somewhere = next(pin for pin in locked("cpu") if pin.marker)

    text = sbom("cpu", "1", [everywhere, somewhere], pinned_jars()[:1])

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert {key for one in json.loads(text)["components"] for key in one} == {
        key for name in LOCKS for one in made(name)["components"] for key in one
    }


@pytest.mark.parametrize("name", LOCKS)
def test_a_bill_has_everything_with_its_hashes(name: str) -> None:
    """Every distribution of the lock and every jar of the broker, each with all digests, and nothing else."""
    found = {
        component["purl"]: {one["content"] for one in component["hashes"]} for component in made(name)["components"]
    }
    distributions = {f"pkg:pypi/{pin.name}@{pin.version}".replace("+", "%2B"): set(pin.sha256) for pin in locked(name)}
    jars = {}
    for jar in pinned_jars():
        group, artifact, at = jar.coordinate.split(":")
        jars[f"pkg:maven/{group}/{artifact}@{at}"] = {jar.sha256}

    assert jars
    assert found == distributions | jars
    assert set(made(name)["dependencies"][0]["dependsOn"]) == set(found)


@pytest.mark.parametrize("name", LOCKS)
def test_a_bill_names_no_place(name: str) -> None:
    """Where to fetch from is the installer's affair; the only address is that of the format."""
    text = (ROOT / bill(name)).read_text(encoding="utf-8")

    assert re.findall(r"https?://[^\"]+", text) == ["http://cyclonedx.org/schema/bom-1.6.schema.json"]
    assert "timestamp" not in text


def test_a_change_shows() -> None:
    """The same lock gives the same bytes; another hash, another version or another jar gives others."""
    pin = Pin("a", "1", "", ("0" * 64,))
    one = sbom("cpu", "1", [pin], pinned_jars())

    assert sbom("cpu", "1", [pin], pinned_jars()) == one
    for changed in (Pin("a", "1", "", ("1" * 64,)), Pin("a", "2", "", ("0" * 64,))):
        assert sbom("cpu", "1", [changed], pinned_jars()) != one
    assert sbom("cpu", "1", [pin], pinned_jars()[1:]) != one


def test_every_licence_is_allowed() -> None:
    """No row of the list says something that nobody has allowed."""
    rows = licences.read_page((ROOT / PAGE).read_text(encoding="utf-8"))

    assert [text for row in rows.values() if (text := trouble(row, review(ROOT)))] == []


def test_what_is_installed_here_was_seen() -> None:
    """A row without a licence is of something that this platform does not install."""
    rows = licences.read_page((ROOT / PAGE).read_text(encoding="utf-8"))

    assert [row.name for row in rows.values() if row.licence == NOT_SEEN and _installed(row)] == []
    assert {(pin.name, pin.version) for name in LOCKS for pin in locked(name)} == set(rows)


def _installed(row: Licence) -> bool:
    try:
        return version(row.name) == row.version
    except PackageNotFoundError:
        return False


def test_what_another_platform_saw_is_kept() -> None:
    """A machine that does not install a distribution leaves its row as it is; a new version has to be seen again."""
    row = Licence("nvidia-none", "1", "MIT", "its metadata")
    lock = [Pin("nvidia-none", "1", "", ()), Pin("nvidia-none", "2", "", ())]

    found = licences.licences(lock, review(ROOT), licences.read_page(licences.page([row])))

    assert found == [row, Licence("nvidia-none", "2", NOT_SEEN, "nobody")]


@pytest.mark.parametrize(
    "expression, allowed",
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH GCC-exception-3.1", False),
        ("AGPL-3.0-only", False),
    ],
)
def test_expressions(expression: str, allowed: bool) -> None:  # noqa: FBT001  (a table)
    """Either side of OR will do, both of AND have to."""
    assert is_allowed(expression, review(ROOT).allowed) is allowed


@pytest.mark.parametrize(
    "name, licence, text",
    [
        ("new", UNKNOWN, "does not say its licence"),
        ("new", "AGPL-3.0-only", "under AGPL-3.0-only, which is not on the list"),
        ("new", "LicenseRef-NVIDIA-Proprietary", "not on the list"),
        ("new", "Do what you like", "not on the list"),
        ("pycountry", "LGPL-3.0-only", "not on the list"),
    ],
)
def test_what_is_not_allowed_is_named(name: str, licence: str, text: str) -> None:
    """Unknown, unwanted, or allowed for another one only."""
    assert text in (trouble(Licence(name, "1", licence, "its metadata"), review(ROOT)) or "")


def test_every_reviewed_entry_is_needed() -> None:
    """Each stands for something that is locked, and gives a reason."""
    names = {pin.name for lock in LOCKS for pin in locked(lock)}

    for one in review(ROOT).reviewed:
        assert one.reason
        assert any(review(ROOT).of(name) == one for name in names), one.name


def accepted(**changes: Any) -> tuple[Accepted, ...]:
    """Return one accepted vulnerability."""
    known: dict[str, Any] = {"id": "CVE-1", "package": "bad", "reason": "not reached", "date": TODAY}
    return (Accepted(**known | changes),)


@pytest.mark.parametrize(
    "exceptions, left",
    [
        ((), ["bad 2: A-1 (fixed in 3)"]),
        (accepted(), []),
        (accepted(id="A-1"), []),
        (accepted(package="good"), ["bad 2: A-1 (fixed in 3)"]),
        (accepted(date=TODAY - dt.timedelta(days=181)), ["bad 2: A-1 (fixed in 3)"]),
    ],
    ids=["nobody looked", "by another name", "by its id", "another package", "long ago"],
)
def test_a_vulnerability_fails_unless_accepted(exceptions: tuple[Accepted, ...], left: list[str]) -> None:
    """By any of its names, for that package, for half a year."""
    report = read_report(FOUND, "")

    assert report is not None
    assert list(open_ones(report, exceptions, TODAY)) == left


@pytest.mark.parametrize(
    "last",
    [
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x', port=443)",
        "pip_audit._service.interface.ServiceError: 503 Server Error",
        "requests.exceptions.ReadTimeout: x",
    ],
)
def test_a_database_that_is_away_is_no_failure(last: str) -> None:
    """Nothing was checked then, and nothing else is said."""
    assert read_report("", f"Traceback\n{last}\n") is None


def test_a_tool_that_breaks_is_a_failure() -> None:
    """A check that did not run must not look like one that passed."""
    with pytest.raises(ConfigError, match="pip-audit failed: usage: pip-audit"):
        read_report("", "usage: pip-audit\n")


def test_the_exceptions_can_be_read() -> None:
    """Each has a reason and a day that is not to come."""
    for one in vulnerabilities.read_exceptions((ROOT / EXCEPTIONS).read_text(encoding="utf-8")):
        assert one.reason
        assert one.date <= dt.datetime.now(dt.UTC).date()
