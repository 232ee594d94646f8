"""An engine that answers from a table, so that the judge above it can be tested without a model."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from msgspec import Struct

from worker.judge.engine import Completion, EngineFacts, Request
from worker.judge.tokens import Tokens

FACTS = EngineFacts(version="fake 1", dtype="none", device="none")


class Script(Struct, frozen=True, kw_only=True):
    """What the model writes for one message, phase by phase.

    ``ends_by``: the text after the reasoning; empty where the budget cuts it.
    ``answer_ids``: the answer's tokens, where they are not those that its text has by itself.
    """

    reasoning: str = "U7 not met; so safe."
    ends_by: str = "<|verdict|>"
    answer: str = "safe}"
    p_unsafe: float = 0.1
    names: str = " U7"
    answer_ids: tuple[int, ...] = ()


class FakeEngine:
    """Answers each request with the part of a script that the request asks for.

    Attributes:
        requests: everything that was asked, in order.
        error: raised by every call, if set.
        held: calls wait until it is set.

    """

    def __init__(self, tokens: Tokens, script_of: Callable[[str], Script], window_tokens: int = 1024) -> None:
        """``script_of`` gets the prompt's text."""
        self._tokens = tokens
        self._script_of = script_of
        self._window_tokens = window_tokens
        self._end = next(name for name in ("<|end|>", "<|im_end|>") if name in tokens.control_ids)
        self.requests: list[Request] = []
        self.error: Exception | None = None
        self.held = asyncio.Event()
        self.held.set()
        self.quiet_for_s = 0.0
        self.started = self.stopped = 0

    @property
    def window_tokens(self) -> int:
        """The window that it was made with."""
        return self._window_tokens

    @property
    def facts(self) -> EngineFacts:
        """Nothing real."""
        return FACTS

    async def start(self) -> None:
        """Count the start."""
        self.started += 1

    async def complete(self, request: Request) -> Completion:
        """Answer from the script."""
        self.requests.append(request)
        await self.held.wait()
        if self.error is not None:
            raise self.error
        script = self._script_of(self._tokens.decode(request.prompt_ids))
        if request.grammar is None:
            return self._reason(request, script)
        asked_for_label = request.grammar.startswith('root ::= "safe')
        return self._write(request, script.answer if asked_for_label else script.names, script)

    def quiet_s(self) -> float:
        """Return what the test set."""
        return self.quiet_for_s

    def check(self) -> None:
        """Raise what every call raises."""
        if self.error is not None:
            raise self.error

    async def stop(self) -> None:
        """Count the stop."""
        self.stopped += 1

    def _reason(self, request: Request, script: Script) -> Completion:
        ids = list(self._tokens.text_ids(script.reasoning))
        controls = self._tokens.control_ids
        if script.ends_by in controls:
            ids.append(controls[script.ends_by])
        else:
            # The text that ends it shares a token with what comes before, as it does in real vocabularies.
            ids = list(self._tokens.text_ids(script.reasoning + script.ends_by))
        return Completion(
            token_ids=tuple(ids),
            text=script.reasoning if request.stop else None,
            finish_reason="stop" if script.ends_by else "length",
            first_logprobs={},
            prompt_tokens=len(request.prompt_ids),
            cached_tokens=2,
        )

    def _write(self, request: Request, text: str, script: Script) -> Completion:
        own = script.answer_ids if text == script.answer else ()
        whole = (*(own or self._tokens.text_ids(text)), self._tokens.control_ids[self._end])
        end = min((whole.index(stop) for stop in request.stop_ids if stop in whole), default=len(whole) - 1)
        ids = whole[: end + 1]
        chances = {"safe": 1 - script.p_unsafe, "unsafe": script.p_unsafe}
        logprobs = {self._tokens.text_ids(label)[0]: math.log(chance) for label, chance in chances.items() if chance}
        return Completion(
            token_ids=ids,
            text=None,
            finish_reason="stop",
            first_logprobs=logprobs if request.logprobs else {},
            prompt_tokens=len(request.prompt_ids),
            cached_tokens=3,
        )
