"""What children are started with."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support import planted
from tests.support.waiting import wait_until
from worker.child import Child
from worker.child_environment import is_secret, without_secrets
from worker.config import ENV_PREFIX, Settings, field_names, secret_names
from worker.judge.engine_env import environment

SECRET: Final = {
    "RSAFE_SASL_PASSWORD": "x",
    "RSAFE_SHADOW_SASL_PASSWORD_FILE": "/run/secrets/x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ACCESS_KEY_ID": "x",
    "HF_TOKEN": "x",
    "VLLM_API_KEY": "x",
    "OPENAI_APIKEY": "x",
    "github_token": "x",
    "HTTPS_PROXY": "http://user:pass@proxy:8080",
    "DATABASE_URL": "postgresql://u:p@host/db",
}
PLAIN: Final = {
    "PATH": "/bin",
    "TOKENIZERS_PARALLELISM": "false",
    "HTTPS_PROXY": "http://proxy:8080",
    "RSAFE_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "RSAFE_REASONING_MAX_TOKENS": "24",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "TRITON_CACHE_DIR": "/cache",
    "XDG_SESSION_ID": "a:b@c",
    "KEYBOARD": "de",
}


@pytest.mark.parametrize("name, value", SECRET.items())
def test_a_secret_is_known(name: str, value: str) -> None:
    """By its name, or by a login in an address."""
    assert is_secret(name, value)


@pytest.mark.parametrize("name, value", PLAIN.items())
def test_what_a_child_needs_stays(name: str, value: str) -> None:
    """Names that only look like it are no secrets."""
    assert without_secrets({name: value}) == {name: value}


def test_every_secret_setting_is_left_out() -> None:
    """A setting of the type that masks it has a name by which it is known; few others have."""
    known = {name for name in field_names() if is_secret(ENV_PREFIX + name.upper(), "")}

    assert secret_names() <= known
    assert {name.removesuffix("_file") for name in known - secret_names()} <= secret_names()


def test_the_engine_is_built_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are gone while the engine's processes start, and back afterwards."""
    monkeypatch.setenv("RSAFE_SASL_PASSWORD", planted.PASSWORD)
    before = dict(os.environ)

    with environment(Settings()):
        assert planted.found(repr(dict(os.environ)), planted.SECRETS) == []

    assert dict(os.environ) == before


async def test_a_child_is_started_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel shows of its environment has none: the broker is such a child."""
    monkeypatch.setenv("RSAFE_SASL_PASSWORD", planted.PASSWORD)
    log, claim = tmp_path / "child.log", os.open(tmp_path, os.O_RDONLY)
    log.touch()
    child = Child([sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"], log, claim)
    try:
        await wait_until(lambda: "up" in child.output(), 20, what="the child is up")
        shown = await asyncio.to_thread(Path(f"/proc/{child.pid}/environ").read_bytes)
    finally:
        child.kill()
        os.close(claim)

    assert b"PATH=" in shown
    assert planted.found(shown) == []
