"""The jars of the embedded broker: named and hashed in ``broker_jars.txt``, fetched once by jgo.

They lie in the ordinary Maven cache (``M2_REPO``, or ``~/.m2/repository``). Every jar's hash is checked at
each start, so a download that was cut short, by whatever means, is noticed and done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from jgo.maven import Artifact, MavenContext

from worker.errors import BrokerAway, ConfigError

Say = Callable[[str], None]

_ATTEMPTS: Final = 5
_BACKOFF_S: Final = 1.0
_TIMEOUT_S: Final = 30
_LINES_EVERY: Final = 10


class Jar(NamedTuple):
    """One jar: ``group:artifact:version`` and the SHA-256 of its bytes in hex."""

    coordinate: str
    sha256: str


def say_on_stderr(line: str) -> None:
    """Print a progress line where it never mixes with a command's output."""
    print(f"broker: {line}", file=sys.stderr, flush=True)


def pinned_jars() -> tuple[Jar, ...]:
    """Return every jar that the broker needs to run."""
    text = files("worker").joinpath("broker_jars.txt").read_text(encoding="utf-8")
    return tuple(Jar(*line.split()) for line in text.splitlines() if not line.startswith("#"))


def kafka_version() -> str:
    """Return the version of Kafka that the jars belong to."""
    return next(jar.coordinate.rsplit(":", 1)[1] for jar in pinned_jars() if ":kafka_2.13:" in jar.coordinate)


def fetch(say: Say = say_on_stderr, context: MavenContext | None = None) -> list[Path]:
    """Return the paths of all jars, fetching what the cache lacks.

    Several processes may call this at the same time; one fetches, the others wait for it.

    Args:
        say: takes progress lines.
        context: jgo's cache and resolver (the ordinary ones by default).

    Raises:
        ConfigError: the cache cannot be written.
        BrokerAway: a jar could not be had, in several attempts.

    """
    context = context or MavenContext(timeout=_TIMEOUT_S)
    if _missing(context):
        with _locked(context.repo_cache, say):
            # What was missing may have come while this process waited.
            _fetch_all(context, _missing(context), say)
    return [_path(_artifact(context, jar)) for jar in pinned_jars()]


def _missing(context: MavenContext) -> list[Jar]:
    return [jar for jar in pinned_jars() if not _is_whole(_artifact(context, jar), jar)]


def _fetch_all(context: MavenContext, missing: list[Jar], say: Say) -> None:
    for done, jar in enumerate(missing):
        if done % _LINES_EVERY == 0:
            say(f"fetches Kafka {kafka_version()}: {done} of {len(missing)} jars")
        _fetch_one(_artifact(context, jar), jar, say)


@contextmanager
def _locked(cache: Path, say: Say) -> Iterator[None]:
    """Hold the cache for this process; the kernel lets go of it even after a SIGKILL."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        file = (cache / ".rsafe.lock").open("w")
    except OSError as error:
        text = f"the jar cache {cache} cannot be written ({error.strerror}); set M2_REPO to a folder that can"
        raise ConfigError(text) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits for another process that fetches Kafka")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _artifact(context: MavenContext, jar: Jar) -> Artifact:
    group, name, version = jar.coordinate.split(":")
    return context.project(group, name).at_version(version).artifact()


def _path(artifact: Artifact) -> Path:
    path = artifact.cached_path
    assert path is not None, "a context without a cache"
    return path


def _is_whole(artifact: Artifact, jar: Jar) -> bool:
    try:
        with _path(artifact).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except OSError:
        return False


def _fetch_one(artifact: Artifact, jar: Jar, say: Say) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        reason = _try_to_fetch(artifact, jar)
        if reason is None:
            return
        say(f"{jar.coordinate} did not come ({reason}); attempt {attempt} of {_ATTEMPTS}")
        if attempt < _ATTEMPTS:
            time.sleep(_BACKOFF_S * 2**attempt)
    text = f"{jar.coordinate} cannot be fetched ({reason}); check the network and HTTPS_PROXY, then try again"
    raise BrokerAway(text)


def _try_to_fetch(artifact: Artifact, jar: Jar) -> str | None:
    """Return why the jar did not come whole, or None."""
    try:
        # jgo takes whatever lies there, and leaves half a file behind when it fails.
        _path(artifact).unlink(missing_ok=True)
        artifact.resolve()
    except (OSError, RuntimeError) as error:  # errors of requests are OSErrors; a bad answer is jgo's RuntimeError
        return type(error).__name__
    return None if _is_whole(artifact, jar) else "its hash is wrong"
