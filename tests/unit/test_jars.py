"""The jars of the broker: whole or fetched again, by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import threading
from pathlib import Path
from typing import Final

import pytest
from jgo.maven import Artifact, MavenContext, PythonResolver

from worker import jars
from worker.errors import BrokerAway, ConfigError
from worker.jars import Jar

BYTES: Final = b"what a jar holds"
JAR: Final = Jar("org.example:thing:1.0", hashlib.sha256(BYTES).hexdigest())
WHERE: Final = "org/example/thing/1.0/thing-1.0.jar"


class Downloads(PythonResolver):
    """Downloads that end one after the other as they are told to: bytes that came, or an error after them."""

    def __init__(self, *outcomes: bytes | Exception) -> None:
        super().__init__()
        self.outcomes = list(outcomes)

    def download(self, artifact: Artifact) -> Path:
        """Do as told next."""
        path = Path(str(artifact.cached_path))
        path.parent.mkdir(parents=True, exist_ok=True)
        outcome = self.outcomes.pop(0)
        path.write_bytes(BYTES[:3] if isinstance(outcome, Exception) else outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return path


@pytest.fixture(autouse=True)
def _one_jar_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "pinned_jars", lambda: (JAR,))
    monkeypatch.setattr(jars, "kafka_version", lambda: "4")
    monkeypatch.setattr(jars, "_BACKOFF_S", 0.0)


def fetch(cache: Path, *outcomes: bytes | Exception) -> tuple[list[Path], list[str]]:
    """Fetch with these downloads; return the paths and the progress lines."""
    said: list[str] = []
    context = MavenContext(resolver=Downloads(*outcomes), repo_cache=cache)
    return jars.fetch(said.append, context), said


def test_a_fetched_jar_is_not_fetched_again(tmp_path: Path) -> None:
    """The first start downloads and says so; the second finds the jar and is silent."""
    first, said = fetch(tmp_path, BYTES)
    second, silence = fetch(tmp_path)

    assert [tmp_path / WHERE] == first == second
    assert BYTES == first[0].read_bytes()
    assert (["fetches Kafka 4: 0 of 1 jars"], []) == (said, silence)


def test_half_a_jar_in_the_cache_is_replaced(tmp_path: Path) -> None:
    """What a killed download left behind is never run."""
    (tmp_path / WHERE).parent.mkdir(parents=True)
    (tmp_path / WHERE).write_bytes(BYTES[:5])

    paths, _ = fetch(tmp_path, BYTES)

    assert BYTES == paths[0].read_bytes()


@pytest.mark.parametrize(
    "failure",
    [ConnectionError("cut"), TimeoutError(), RuntimeError("HTTP 503"), b"<html>not a jar</html>"],
    ids=["cut", "timeout", "refused", "wrong bytes"],
)
def test_a_failed_download_is_tried_again(tmp_path: Path, failure: bytes | Exception) -> None:
    """Two failures and then success is success, with a line for each failure."""
    paths, said = fetch(tmp_path, failure, failure, BYTES)

    assert BYTES == paths[0].read_bytes()
    assert len([line for line in said if "did not come" in line]) == 2


def test_a_download_that_never_works_names_jar_and_cure(tmp_path: Path) -> None:
    """After five failures the error says which jar, why, and what to look at."""
    with pytest.raises(BrokerAway, match=r"org\.example:thing:1\.0 .*ConnectionError.*check the network"):
        fetch(tmp_path, *[ConnectionError("cut")] * 5)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """A cache in an impossible place names the variable that moves it."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="M2_REPO"):
        fetch(tmp_path / "file" / "cache")


def test_two_processes_do_not_fetch_at_the_same_time(tmp_path: Path) -> None:
    """Who comes second says that it waits, and finds the jar when its turn comes."""
    waiting = threading.Event()
    results: list[list[Path]] = []

    def second() -> None:
        context = MavenContext(resolver=Downloads(), repo_cache=tmp_path)
        results.append(jars.fetch(lambda _: waiting.set(), context))

    with (tmp_path / ".rsafe.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        (tmp_path / WHERE).parent.mkdir(parents=True)
        (tmp_path / WHERE).write_bytes(BYTES)
    thread.join(10)

    assert [[tmp_path / WHERE]] == results


def test_the_pinned_jars_hold_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real list names Kafka 4 and gives every jar a SHA-256."""
    monkeypatch.undo()

    assert jars.kafka_version().startswith("4.")
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars.pinned_jars())
