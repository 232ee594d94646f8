"""A judge that answers by rule, so that faults and the data plane can be tested without a model.

Tags in a message's ``text`` decide, and nothing else is read:

    [unsafe:U7]    unsafe under U7, where the policy in force has it; several tags cite several
    [fail:STATUS]  ends with that status
    [sleep:MS]     answers after so many milliseconds; slept once for a message

Anything else is safe. The score is 1.0 or 0.0.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Final, get_args

from msgspec.structs import replace

from worker.judge.judgement import Finding, Judgement
from worker.policy.model import EffectivePolicy
from worker.records import Message, ModelRef, Status, Usage, or_none, sha256_hex

_TAG: Final = re.compile(r"\[(unsafe|fail|sleep):([^\[\]]{1,64})\]")
_FAILURES: Final = {status: status for status in get_args(Status) if status != "judged"}
_NAME: Final = "scripted"
_BYTES_PER_TOKEN: Final = 4
_MAX_SLEEP_MS: Final = 3_600_000


class ScriptedJudge:
    """The rules above, as a ``Judge``."""

    def __init__(self) -> None:
        """Nothing to build."""
        self._model = ModelRef(fingerprint=sha256_hex(_NAME.encode()), name=_NAME)

    @property
    def model(self) -> ModelRef:
        """Name and fingerprint of the rules."""
        return self._model

    async def start(self) -> None:
        """Do nothing: it is always warm."""

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:  # noqa: ARG002
        """Judge by the tags in the text; ``priority`` changes nothing."""
        began_s = time.perf_counter()
        tags = _TAG.findall(message.text) if "[" in message.text else []
        sleep_ms = next((int(value) for kind, value in tags if kind == "sleep" and value.isdecimal()), 0)
        if sleep_ms:
            await asyncio.sleep(min(sleep_ms, _MAX_SLEEP_MS) / 1000)
        failure = next((_FAILURES[value] for kind, value in tags if kind == "fail" and value in _FAILURES), None)
        wanted = {value for kind, value in tags if kind == "unsafe"}
        language = or_none(message.language)
        asked = [item for call in policy.calls_for(language) for item in call.panel.categories] if wanted else []
        cited = tuple((item.scope, item.id) for item in asked if item.id in wanted)
        engine_ms = (time.perf_counter() - began_s) * 1000
        if failure is not None:
            return Judgement(status=failure, reasoning=f"Rule [fail:{failure}] fired.", engine_ms=engine_ms)
        answer = _answer(cited, self.estimate_tokens(message), engine_ms)
        if policy.rung == "label_only":
            answer = replace(answer, reasoning=None, raw=answer.model_label)
        return answer if policy.speaks(language) else replace(answer, status="language_unsupported")

    def estimate_tokens(self, message: Message, policy: EffectivePolicy | None = None) -> int:  # noqa: ARG002
        """Return about a quarter of the text's length; rules ask no model, so ``policy`` changes nothing."""
        return len(message.text) // _BYTES_PER_TOKEN + 1

    def calls_at_once(self, message: Message, policy: EffectivePolicy | None = None) -> int:  # noqa: ARG002
        """Return 1: rules need no engine."""
        return 1

    def check(self) -> None:
        """Return: rules do not break."""

    async def stop(self) -> None:
        """Do nothing: there is no process to end."""


def _answer(cited: tuple[tuple[str, str], ...], tokens: int, engine_ms: float) -> Judgement:
    fired = "".join(f"[unsafe:{category}]" for _, category in cited)
    reasoning = f"Rule {fired} fired." if fired else "No rule fired."
    label = "unsafe" if cited else "safe"
    return Judgement(
        status="judged",
        model_label="unsafe" if cited else "safe",
        score=1.0 if cited else 0.0,
        score_method="direct",
        cited=cited,
        findings=(Finding(score=1.0, cited=cited),) if cited else (),
        reasoning=reasoning,
        raw=f"{reasoning}\n{label}",
        usage=Usage(prompt_tokens=tokens, cached_tokens=0, reasoning_tokens=0, output_tokens=1),
        engine_ms=engine_ms,
    )
