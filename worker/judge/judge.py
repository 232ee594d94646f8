"""RSafe as a ``Judge``: prompts, phases on an engine, and one judgement for each message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import structs

from worker.config import Settings
from worker.errors import EngineAborted, EngineDead, EngineError, PromptTooLong
from worker.judge import asking, prompt
from worker.judge.calibration import Calibration, load_calibration
from worker.judge.coverage import Coverage, load_coverage, unevaluated
from worker.judge.deadline import deadline
from worker.judge.engine import Engine, EngineFacts, Request
from worker.judge.engine_env import environment
from worker.judge.evidence import spans
from worker.judge.fingerprint import file_digests, fingerprint, model_key
from worker.judge.folder import find_model, model_name, warn_of_demo
from worker.judge.judgement import UNSPOKEN, Judgement
from worker.judge.merge import joined, merge
from worker.judge.phases import Phases, Task
from worker.judge.plan import LONG_CHARS, Plans
from worker.judge.salt import cache_salt
from worker.judge.tally import Tally, prompt_digest, total
from worker.judge.template import Template, load_template
from worker.judge.tokens import Tokens
from worker.policy.model import Call, EffectivePolicy
from worker.records import Message, ModelRef, or_none

#: Calls of one message in the engine at once. The window counts messages: so a policy with many categories takes its
#: turns beside the others, and does not fill the engine's queue.
CALLS_AT_ONCE: Final = 4
EngineFactory = Callable[[Settings, Path], Engine]
#: Placeholders make a text shorter; one that is longer than this many windows is not looked at.
_MASKED_WINDOWS: Final = 2
_CHARS_PER_TOKEN: Final = 3
_TOO_LONG: Final = "the message cannot fit the model's window"
_WARM_UP_GRAMMAR: Final = 'root ::= "safe" | "unsafe"'


def vllm_engine(settings: Settings, folder: Path) -> Engine:
    """Make a vLLM engine, not yet started. To be called inside ``engine_env.environment``."""
    # Here and not above: it takes seconds to import, and reads the environment when it is.
    from worker.judge.vllm_engine import VllmEngine  # noqa: PLC0415

    return VllmEngine(settings, folder)


class RsafeJudge:
    """Judges with a model that reasons over the policy."""

    def __init__(
        self, settings: Settings, make_engine: EngineFactory = vllm_engine, *, calibrated: bool = True
    ) -> None:
        """Find the model; nothing is loaded yet.

        Without ``calibrated`` scores stay as the model says them: what a calibration is fitted on.

        Raises:
            ModelError: there is no model to serve.

        """
        self._settings = settings
        self._make_engine = make_engine
        self._calibrated = calibrated
        self._coverage: Coverage | None = None
        self._folder = find_model(settings)
        self._model = ModelRef(fingerprint=None, name=model_name(self._folder))
        self._budget = settings.reasoning_max_tokens
        self._engine: Engine | None = None

    @property
    def model(self) -> ModelRef:
        """Name and, once it has started, fingerprint."""
        return self._model

    @property
    def facts(self) -> EngineFacts:
        """What its engine is; known once it has started."""
        return self._running().facts

    @property
    def reasoning_max_tokens(self) -> int:
        """The budget of a reasoning; known once it has started."""
        return self._budget

    async def start(self) -> None:
        """Build and warm the engine; takes up to a minute and blocks the loop. In the main thread only.

        Raises:
            ModelError: the model's folder cannot be served, or holds another model's calibration or coverage.
            EngineDead: the engine did not come up.

        """
        warn_of_demo(self._folder)
        template = load_template(self._folder)
        tokens = Tokens(self._folder, template)
        digests = file_digests(self._folder)
        key = model_key(template, digests)
        calibration = load_calibration(self._folder, key) if self._calibrated else None
        self._coverage = load_coverage(self._folder, key)
        self._budget = self._settings.reasoning_max_tokens or template.reasoning_max_tokens
        with environment(self._settings):
            self._engine = engine = self._make_engine(self._settings, self._folder)
            await engine.start()
        self._prepare(engine, tokens, template, calibration)
        await engine.complete(Request(prompt_ids=[0], max_tokens=1, grammar=_WARM_UP_GRAMMAR, logprobs=1))
        short_tokens = self._settings.overload_short_tokens
        digest = fingerprint(self._folder, template, engine.facts, self._budget, digests, short_tokens)
        self._model = structs.replace(self._model, fingerprint=digest)

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge one message. Safe to call many times at once; cancelling aborts the engine's work.

        ``priority``: lower goes first.

        Raises:
            EngineDead: nothing can be judged any more.
            EngineAborted: this message was cut short and must be judged again.

        """
        engine = self._running()
        began_s = time.perf_counter()
        language = or_none(message.language)
        calls = asking.calls(self._template, policy, language)
        tallies = [Tally() for _ in calls]
        found: list[Judgement] = []
        try:
            conversation_ids = await self._conversation_ids(message)
            found = await self._panels(engine, message, calls, conversation_ids, tallies, priority)
            merged = merge(found if policy.speaks(language) else [*found, UNSPOKEN])
        except PromptTooLong as error:
            merged = Judgement(status=error.status)
        # Evidence is bounded, and that of calls which found something is wanted.
        telling = joined(one.reasoning for one in sorted(found, key=lambda one: not one.cited))
        return structs.replace(
            merged,
            unevaluated=unevaluated(self._coverage, policy.judging.categories),
            spans=spans(telling or "", message.text, masked=self._template.placeholders),
            usage=total(tallies),
            prompt_digest=prompt_digest(tallies),
            engine_ms=(time.perf_counter() - began_s) * 1000,
        )

    def estimate_tokens(self, message: Message, policy: EffectivePolicy | None = None) -> int:
        """Return about a third of the characters, and the reasoning's budget, for each call."""
        chars = len(message.text) + sum(len(turn.text) for turn in message.context)
        return self._calls(message, policy) * (chars // _CHARS_PER_TOKEN + self._budget + 1)

    def calls_at_once(self, message: Message, policy: EffectivePolicy | None = None) -> int:
        """Return the number of its calls, and no more than are made together."""
        return min(self._calls(message, policy), CALLS_AT_ONCE)

    def _calls(self, message: Message, policy: EffectivePolicy | None) -> int:
        return max(1, len(asking.calls(self._template, policy, or_none(message.language)))) if policy else 1

    def check(self) -> None:
        """Return while the engine is well.

        Raises:
            EngineDead: it is gone, or makes no steps although it has work.

        """
        self._running().check()

    async def stop(self) -> None:
        """End the engine and every process of it. Safe to call twice."""
        if self._engine is not None:
            await self._engine.stop()

    def _prepare(self, engine: Engine, tokens: Tokens, template: Template, calibration: Calibration | None) -> None:
        """Build what needs the engine's window."""
        self._template = template
        self._tokens = tokens
        self._plans = Plans(template, tokens, engine.window_tokens)
        self._phases = Phases(engine, tokens, template, self._budget, calibration, self._settings.overload_short_tokens)
        windows = _MASKED_WINDOWS if template.placeholders else 1
        self._max_bytes = windows * engine.window_tokens * tokens.bytes_per_token
        self._max_turns = engine.window_tokens

    def _running(self) -> Engine:
        if self._engine is None:
            text = "the engine was not started"
            raise EngineDead(text)
        return self._engine

    async def _conversation_ids(self, message: Message) -> Sequence[int]:
        """Tokenise a message and its context.

        Raises:
            PromptTooLong: it is so long that it need not be tokenised to know.

        """
        texts = [message.text, *(turn.text for turn in message.context)]
        chars = sum(map(len, texts))
        if len(texts) > self._max_turns or chars > self._max_bytes:
            raise PromptTooLong(_TOO_LONG)
        if chars <= LONG_CHARS:
            return self._tokens.encode(prompt.conversation(self._template, message))
        if sum(len(text.encode()) for text in texts) > self._max_bytes:
            raise PromptTooLong(_TOO_LONG)
        return await asyncio.to_thread(lambda: self._tokens.encode(prompt.conversation(self._template, message)))

    async def _panels(
        self,
        engine: Engine,
        message: Message,
        calls: Sequence[Call],
        conversation_ids: Sequence[int],
        tallies: Sequence[Tally],
        priority: int,
    ) -> list[Judgement]:
        """Judge by every panel, some at the same time; a call's deadline begins with it."""
        gate = asyncio.Semaphore(CALLS_AT_ONCE)

        async def asked(call: Call, tally: Tally) -> Judgement:
            async with gate:
                return await self._panel(engine, call, message, conversation_ids, tally, priority)

        pairs = list(zip(calls, tallies, strict=True))
        if len(pairs) == 1:
            return [await asked(*pairs[0])]
        tasks = [asyncio.ensure_future(asked(*pair)) for pair in pairs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _panel(
        self,
        engine: Engine,
        call: Call,
        message: Message,
        conversation_ids: Sequence[int],
        tally: Tally,
        priority: int,
    ) -> Judgement:
        try:
            async with deadline(self._settings.request_timeout_s, engine.quiet_s):
                task = Task(
                    plan=await self._plans.get(call.panel, message.role),
                    conversation_ids=conversation_ids,
                    text=message.text,
                    reasoning=call.asking.reasoning,
                    band=call.asking.review_band,
                    is_brief=call.asking.is_brief is True,
                    priority=priority,
                    cache_salt=cache_salt(self._settings.cache_salt, call.panel, message.tenant_id),
                )
                return await self._phases.run(task, tally)
        except (EngineDead, EngineAborted):
            raise
        except EngineError as error:
            return Judgement(status=error.status)
