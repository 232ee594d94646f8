"""The seam to vLLM: what a request gives, and what becomes of its errors."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from functools import partial
from typing import Any

import pytest
from msgspec import structs

from tests.support.tiny_model import tiny_tokens
from worker.errors import PromptTooLong, RequestFailed
from worker.judge.copied import Copied
from worker.judge.engine import Engine, Request
from worker.logs import Discreet

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

TOKENS = tiny_tokens()[0]
PROMPT = list(TOKENS.text_ids("the quick brown fox"))


async def test_the_budget_ends_a_text(engine: Engine) -> None:
    """As many tokens as allowed, the reason said, and no text unless it was needed."""
    found = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=7))

    assert (len(found.token_ids), found.finish_reason, found.prompt_tokens) == (7, "length", len(PROMPT))
    assert not found.text


async def test_a_token_ends_a_text(engine: Engine) -> None:
    """The token that ends it is the last one of the answer."""
    free = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=7))
    stop = free.token_ids[3]

    found = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=7, stop_ids=(stop,)))

    assert found.finish_reason == "stop"
    assert found.token_ids == free.token_ids[: free.token_ids.index(stop) + 1]


async def test_a_text_ends_a_text(engine: Engine) -> None:
    """What is returned as text stops short of it, and agrees with this program's own decoding."""
    free = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=12))
    whole = TOKENS.decode(free.token_ids)
    stop = whole[5:8]

    found = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=12, stop=(stop,)))

    assert found.finish_reason == "stop"
    assert found.text == whole[: whole.index(stop)]
    assert TOKENS.decode(found.token_ids).startswith(found.text + stop)


async def test_probabilities_are_those_under_the_grammar(engine: Engine) -> None:
    """All mass lies on what the grammar allows, and only the first token's is reported."""
    grammar = 'root ::= "safe}" | "unsafe} U7"'

    found = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=12, grammar=grammar, logprobs=20))

    allowed = {number: chance for number, chance in found.first_logprobs.items() if chance > -1e6}
    assert sum(map(math.exp, allowed.values())) == pytest.approx(1.0, abs=1e-3)
    assert allowed.keys() <= TOKENS.first_tokens.keys()
    assert TOKENS.decode(found.token_ids).removesuffix("<|end|>") in {"safe}", "unsafe} U7"}


async def test_a_grammar_with_quotes_and_line_ends(engine: Engine) -> None:
    """What is escaped in the grammar is written as it is."""
    found = await engine.complete(Request(prompt_ids=PROMPT, max_tokens=12, grammar='root ::= "a\\"\\\\\\nb"'))

    assert TOKENS.decode(found.token_ids).removesuffix("<|end|>") == 'a"\\\nb'


async def test_what_may_only_be_copied(engine: Engine) -> None:
    """Lines begin with what was given, quotes are the message's words, and neighbours in the batch are left alone."""
    copied = Copied(text="you win a \U0001f937 prize", starts=("U7", "GN35", "so"))
    free = [Request(prompt_ids=[number, *PROMPT], max_tokens=30) for number in range(20, 32)]
    alone = await asyncio.gather(*map(engine.complete, free))

    mixed = await asyncio.gather(
        *(engine.complete(one) for pair in zip(free, map(partial(bound, copied), free), strict=True) for one in pair)
    )

    assert [one.token_ids for one in mixed[::2]] == [one.token_ids for one in alone]
    texts = [TOKENS.decode(one.token_ids) for one in mixed[1::2]]
    assert all(re.match(r"(U7|GN35|so)(?![0-9A-Za-z])", text) for text in texts)
    assert not any(re.match(r"(U7|GN35|so)", TOKENS.decode(one.token_ids)) for one in alone)
    assert all(quote in copied.text for text in texts for quote in re.findall('"([^"]*)"', text))


def bound(copied: Copied, request: Request) -> Request:
    """Return a request that may only copy."""
    return structs.replace(request, copied=copied)


async def test_too_long(engine: Engine) -> None:
    """Prompt and answer together may fill the window, and not one token more."""
    room = engine.window_tokens - 5
    fits = await engine.complete(Request(prompt_ids=[10] * room, max_tokens=5))

    assert fits.prompt_tokens == room
    with pytest.raises(PromptTooLong):
        await engine.complete(Request(prompt_ids=[10] * room, max_tokens=6))


@pytest.mark.parametrize(
    "request_",
    [
        Request(prompt_ids=PROMPT, max_tokens=3, grammar="root ::= ("),
        Request(prompt_ids=[], max_tokens=3),
        Request(prompt_ids=PROMPT, max_tokens=0),
        Request(prompt_ids=[10_000_000], max_tokens=3),
        Request(prompt_ids=PROMPT, max_tokens=3, logprobs=1_000_000),
    ],
    ids=["bad grammar", "empty prompt", "no room to answer", "no such token", "too many alternatives"],
)
async def test_a_request_that_cannot_be(engine: Engine, request_: Request) -> None:
    """It fails alone: the engine goes on."""
    with pytest.raises(RequestFailed):
        await engine.complete(request_)

    await engine.complete(Request(prompt_ids=PROMPT, max_tokens=1))


async def test_cached_prefixes_are_counted_and_can_be_kept_apart(engine: Engine) -> None:
    """A prompt that was there before is not computed again, unless it has another salt."""
    ids = [*range(20, 180)]

    async def cached(salt: str | None) -> int:
        return (await engine.complete(Request(prompt_ids=ids, max_tokens=1, cache_salt=salt))).cached_tokens

    assert [await cached(None), await cached(None), await cached("a"), await cached("a")] == [0, 128, 0, 128]


async def test_steps_are_signs_of_life(engine: Engine) -> None:
    """While it works its silence never adds up."""
    requests = [Request(prompt_ids=[number + 10, *PROMPT], max_tokens=200) for number in range(8)]

    running = asyncio.gather(*(engine.complete(request) for request in requests))
    longest_s = 0.0
    while not running.done():
        longest_s = max(longest_s, engine.quiet_s())
        await asyncio.sleep(0.01)

    assert len(await running) == 8
    assert longest_s < 5.0
    assert engine.quiet_s() == 0.0


async def test_no_request_is_logged(engine: Engine) -> None:
    """The library's log of requests holds prompts and is off; what else it logs is written as this program does."""
    running: Any = engine

    assert running._llm.log_requests is False
    own = [one for one in logging.getLogger("vllm").handlers if type(one) is logging.StreamHandler]
    assert own
    assert all(isinstance(handler.formatter, Discreet) for handler in own)
