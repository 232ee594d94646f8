"""A judge that can be looked into, on an engine that answers from a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.support.fake_engine import FakeEngine, Script
from tests.support.tiny_model import DEMO_TEMPLATE, save_tokenizer, tiny_tokens
from worker.config import Settings
from worker.judge.engine import Completion, Request
from worker.train.evaluation.probe import ProbedJudge


class WholeEngine(FakeEngine):
    """Writes reasoning and verdict in one go where only the end stops it."""

    async def complete(self, request: Request) -> Completion:
        """Write all of it where the call is free."""
        found = await super().complete(request)
        controls = self._tokens.control_ids
        if request.grammar is not None or request.stop_ids != (controls[self._end],):
            return found
        script = self._script_of(self._tokens.decode(request.prompt_ids))
        ids = (*found.token_ids, *self._tokens.text_ids("\\boxed{" + script.answer), controls[self._end])
        return msgspec.structs.replace(found, token_ids=ids)


async def probed(
    folder: Path,
    script: Script | Callable[[str], Script],
    template: Path = DEMO_TEMPLATE,
    engine_type: type[WholeEngine] = WholeEngine,
) -> tuple[ProbedJudge, WholeEngine]:
    """Start a probed judge on such an engine; a script for each prompt, or one for all."""
    save_tokenizer(folder, template)
    tokens, _ = tiny_tokens(template)
    engine = engine_type(tokens, script if callable(script) else lambda _: script)
    judge = ProbedJudge(Settings(model=str(folder)), lambda _settings, _folder: engine)
    await judge.start()
    engine.requests.clear()
    return judge, engine
