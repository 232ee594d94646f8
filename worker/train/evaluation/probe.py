"""What serving has no need of: a reasoning that is forced, and one free call without grammar.

An engine that stands in front of the real one. The judge above it and the phases are those that
serve, untouched: a forced reasoning is returned where the judge asks for one, and the prompt of that
call is kept, so that the same prompt can be asked freely. What is forced or kept belongs to one task
(a context variable), so that many messages run at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from worker.config import Settings
from worker.judge import asking
from worker.judge.engine import Completion, Engine, EngineFacts, Request
from worker.judge.judge import EngineFactory, RsafeJudge, vllm_engine
from worker.judge.parse import Reading, parse_free
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.policy.model import EffectivePolicy, Panel

#: Room for label and ids behind the reasoning of a free call.
ANSWER_TOKENS: Final = 64


class Note:
    """What is forced upon one judgement, and what was seen of it."""

    def __init__(self, forced: str | None = None) -> None:
        """Force a reasoning, or only look on."""
        self.forced = forced
        self.request: Request | None = None


_NOTE: Final[ContextVar[Note | None]] = ContextVar("note", default=None)


@contextmanager
def noting(note: Note) -> Iterator[Note]:
    """Apply a note to the judgement inside."""
    token = _NOTE.set(note)
    try:
        yield note
    finally:
        _NOTE.reset(token)


class Probe:
    """An engine in front of another."""

    def __init__(self, engine: Engine, tokens: Tokens, template: Template) -> None:
        """Wrap an engine that is not yet started."""
        self._engine = engine
        self._tokens = tokens
        self._template = template
        self._end_id = tokens.control_ids[template.end]

    @property
    def window_tokens(self) -> int:
        """The engine's."""
        return self._engine.window_tokens

    @property
    def facts(self) -> EngineFacts:
        """The engine's."""
        return self._engine.facts

    async def start(self) -> None:
        """Start the engine."""
        await self._engine.start()

    async def complete(self, request: Request) -> Completion:
        """Run one call, or answer a call for reasoning with the one that is forced."""
        note = _NOTE.get()
        if note is None or request.grammar is not None:
            return await self._engine.complete(request)
        note.request = request
        if note.forced is None:
            return await self._engine.complete(request)
        ids = self._tokens.text_ids(note.forced)[: request.max_tokens]
        return Completion(
            token_ids=ids,
            text=note.forced if request.stop else None,
            finish_reason="stop",
            first_logprobs={},
            prompt_tokens=len(request.prompt_ids),
            cached_tokens=0,
        )

    async def free(self, note: Note, panel: Panel) -> tuple[Reading, str]:
        """Ask the prompt of a noted judgement again, free to write anything; return the answer read, and as it came.

        The budget is that of the reasoning and room for the answer.

        Raises:
            EngineError: what the engine raised.
            ValueError: the judgement never asked for a reasoning.

        """
        if note.request is None:
            text = "only a judgement with reasoning can be asked freely"
            raise ValueError(text)
        request = Request(
            prompt_ids=note.request.prompt_ids,
            max_tokens=note.request.max_tokens + ANSWER_TOKENS,
            stop_ids=(self._end_id,),
        )
        completion = await self._engine.complete(request)
        text = self._tokens.decode(completion.token_ids)
        return parse_free(text, panel, self._template, truncated=completion.finish_reason == "length"), text

    def quiet_s(self) -> float:
        """The engine's."""
        return self._engine.quiet_s()

    def check(self) -> None:
        """The engine's."""
        self._engine.check()

    async def stop(self) -> None:
        """Stop the engine."""
        await self._engine.stop()


class ProbedJudge(RsafeJudge):
    """The judge that serves, on an engine that can be looked into."""

    def __init__(self, settings: Settings, make_engine: EngineFactory = vllm_engine) -> None:
        """Find the model; nothing is loaded yet.

        Raises:
            ModelError: there is no model to serve.

        """
        self.probe: Probe | None = None
        super().__init__(settings, lambda chosen, folder: self._probed(make_engine(chosen, folder), folder))

    @property
    def masks(self) -> bool:
        """Whether the model sees placeholders instead of personal data; known once it has started."""
        return self._template.placeholders

    @property
    def conclusion(self) -> re.Pattern[str] | None:
        """What finds the word that a reasoning concludes with; known once it has started."""
        return self._template.conclusion_pattern

    def calls(self, policy: EffectivePolicy) -> int:
        """Return in how many calls a message is judged under a policy; known once it has started."""
        return len(asking.panels(self._template, policy))

    @property
    def engine_facts(self) -> EngineFacts:
        """What the engine is; known once it has started."""
        return self._running().facts

    def _probed(self, engine: Engine, folder: Path) -> Probe:
        template = load_template(folder)
        self.probe = Probe(engine, Tokens(folder, template), template)
        return self.probe
