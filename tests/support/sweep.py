"""A pytest plugin: no planted word may stand in anything that a run of tests writes, or the run fails and says where.

``planted.py`` has the words, ``sweep_hooks.py`` and ``sweep_files.py`` the places. Loggers are as talkative as
this program ever lets them be. With pytest-xdist each process writes what it finds into one folder, so that a
process that dies takes nothing with it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.support import planted
from tests.support.sweep_files import sweep
from tests.support.sweep_hooks import hooked
from worker.logs import set_levels

_KEY: Final = "sweep_folder"
#: More of them say nothing new.
_MOST: Final = 50


class Finding(NamedTuple):
    """A planted word, where it stood, and which test ran."""

    word: str
    place: str
    test: str


class Sweep:
    """Looks and remembers, for one process."""

    def __init__(self, config: pytest.Config) -> None:
        """Find the folder of findings: the one that the starting process names, or a new one."""
        given = getattr(config, "workerinput", {}).get(_KEY)
        self._starts = given is None
        self._folder = Path(given or tempfile.mkdtemp(prefix="rsafe-sweep-"))
        self._seen: set[tuple[str, str]] = set()
        self._hooks = ExitStack()
        self._over = False

    def look(self, text: str | bytes, place: str, words: tuple[str, ...]) -> None:
        """Remember each planted word in a text, once for each place."""
        for word in planted.found(text, words):
            if (word, place) not in self._seen:
                self._seen.add((word, place))
                self._write(Finding(word, place, self._test()))

    def _test(self) -> str:
        return "after the tests" if self._over else os.environ.get("PYTEST_CURRENT_TEST", "before the tests")

    def _write(self, finding: Finding) -> None:
        with (self._folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(finding) + "\n")

    def findings(self) -> list[Finding]:
        """Return what all processes have found."""
        lines = [line for path in self._folder.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()]
        return sorted(Finding(*json.loads(line)) for line in lines)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a process of pytest-xdist where findings go."""
        node.workerinput[_KEY] = str(self._folder)

    def pytest_sessionstart(self) -> None:
        """Begin to look."""
        self._hooks.enter_context(hooked(self.look))

    def pytest_runtest_setup(self) -> None:
        """Let loggers talk, whatever the test before has set."""
        set_levels("debug")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look at the disk, and fail the run for whatever any process has found: in the one that started it."""
        self._hooks.close()
        self._over = True
        factory = getattr(session.config, "_tmp_path_factory", None)
        if not self._starts:
            return
        if factory is not None and factory._basetemp is not None:
            sweep(factory.getbasetemp(), self.look)
        if self.findings():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name what was found."""
        found = self.findings()
        if found:
            terminalreporter.section(f"{len(found)} places hold planted words", red=True)
        for finding in found[:_MOST]:
            terminalreporter.line(f"{finding.word!r} in {finding.place} ({finding.test})")

    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        if self._starts:
            shutil.rmtree(self._folder, ignore_errors=True)
