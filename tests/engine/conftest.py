"""One real engine for the whole session, with random weights: it starts for half a minute."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.support.tiny_model import save_model
from worker.config import Settings
from worker.judge.engine import Completion, Engine, EngineFacts, Request
from worker.judge.engine_env import environment
from worker.judge.judge import RsafeJudge, vllm_engine

#: Short, so that random reasoning is cut often and tests are quick.
BUDGET: Final = 24
JudgeWith = Callable[..., Awaitable[RsafeJudge]]


def settings(model: Path, **changes: Any) -> Settings:
    """Return settings for a small engine."""
    # A slow machine needs more than the default deadline for many messages at once, and that is no timeout here.
    chosen = {"max_num_seqs": 16, "reasoning_max_tokens": BUDGET, "request_timeout_s": 600.0, **changes}
    return Settings(model=str(model), **chosen)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights."""
    return save_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(model: Path) -> AsyncIterator[Engine]:
    """The engine."""
    chosen = settings(model)
    with environment(chosen):
        running = vllm_engine(chosen, model)
        await running.start()
    yield running
    await running.stop()


class Borrowed:
    """An engine that runs already and outlives its judge."""

    def __init__(self, engine: Engine) -> None:
        """Wrap a running engine."""
        self._engine = engine

    @property
    def window_tokens(self) -> int:
        """The engine's."""
        return self._engine.window_tokens

    @property
    def facts(self) -> EngineFacts:
        """The engine's."""
        return self._engine.facts

    async def start(self) -> None:
        """It runs already."""

    async def complete(self, request: Request) -> Completion:
        """Let the engine do it."""
        return await self._engine.complete(request)

    def quiet_s(self) -> float:
        """The engine's."""
        return self._engine.quiet_s()

    def check(self) -> None:
        """The engine's."""
        self._engine.check()

    async def stop(self) -> None:
        """It goes on."""


@pytest.fixture
def judge_with(engine: Engine, model: Path) -> JudgeWith:
    """Make judges with other settings on the same engine."""

    async def make(**changes: Any) -> RsafeJudge:
        judge = RsafeJudge(settings(model, **changes), lambda _settings, _folder: Borrowed(engine))
        await judge.start()
        return judge

    return make
