"""The seam to whatever turns token ids into token ids. Everything above it knows no engine library."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

from worker.judge.copied import Copied

FinishReason = Literal["stop", "length"]


class Request(Struct, frozen=True, kw_only=True):
    """One call.

    Attributes:
        prompt_ids: the whole prompt.
        max_tokens: the most tokens to write.
        stop_ids: tokens that end the answer; the last one stands in it.
        stop: texts that end the answer; they are not part of ``Completion.text``.
        grammar: EBNF that the answer must follow.
        copied: what the answer may only copy, if its template says so.
        logprobs: how many of the first token's alternatives are wanted; 0 for none.
        priority: lower goes first.
        cache_salt: prompts share cached prefixes only with those of the same salt.
        temperature, top_p: how tokens are drawn; at 0 the likeliest one is taken. Judging never draws.

    """

    prompt_ids: list[int]
    max_tokens: int
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    grammar: str | None = None
    copied: Copied | None = None
    logprobs: int = 0
    priority: int = 0
    cache_salt: str | None = None
    temperature: float = 0.0
    top_p: float = 1.0


class Completion(Struct, frozen=True, kw_only=True):
    """What came back.

    Attributes:
        token_ids: everything that was written.
        text: its text up to the stop text; None where the request names none.
        finish_reason: ``length`` if ``max_tokens`` ended it.
        first_logprobs: natural logarithms of the first token's probabilities, by token id.
        prompt_tokens, cached_tokens: length of the prompt, and how much of it was not computed again.

    """

    token_ids: tuple[int, ...]
    text: str | None
    finish_reason: FinishReason
    first_logprobs: dict[int, float]
    prompt_tokens: int
    cached_tokens: int


class EngineFacts(Struct, frozen=True, kw_only=True):
    """What of an engine can change its answers; part of the model's fingerprint."""

    version: str
    dtype: str
    device: str


class Engine(Protocol):
    """An asynchronous engine."""

    @property
    def window_tokens(self) -> int:
        """The most tokens that prompt and answer may have together; known once it has started."""

    @property
    def facts(self) -> EngineFacts:
        """What it is; known once it has started."""

    async def start(self) -> None:
        """Build it. May take a minute and may block the loop.

        Raises:
            ModelError: the model's folder cannot be served.
            EngineDead: it did not come up.

        """

    async def complete(self, request: Request) -> Completion:
        """Run one call; cancelling it frees what it held.

        Raises:
            EngineDead: the engine is gone or hangs.
            EngineAborted: the call was cut short from outside.
            RequestFailed: the engine refused or failed this call.
            PromptTooLong: it does not fit the window.

        """

    def quiet_s(self) -> float:
        """Return for how long it has made no step although it has work, in seconds."""

    def check(self) -> None:
        """Return while it is well.

        Raises:
            EngineDead: it is gone or hangs.

        """

    async def stop(self) -> None:
        """End it and every process of it. Safe to call twice."""
