"""The seam between the data plane and whatever judges: a message and its policy in, a judgement out."""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

from worker.policy.model import EffectivePolicy
from worker.records import Label, Message, ModelRef, ScoreMethod, Span, Status, Usage

NO_USAGE = Usage(prompt_tokens=0, cached_tokens=0, reasoning_tokens=0, output_tokens=0)


class Finding(Struct, frozen=True, kw_only=True):
    """What one call found, where a message takes several: scores of different calls do not mix.

    ``unnamed``: the score reaches the call's lowest threshold, and no category could be had.
    """

    score: float
    cited: tuple[tuple[str, str], ...] = ()
    unnamed: bool = False


class Judgement(Struct, frozen=True, kw_only=True):
    """What the model said of one message, before the policy's thresholds and actions.

    Attributes:
        status: ``judged``, or why there is no judgement.
        model_label: the model's own word, also where the status is not ``judged``.
        score: P(unsafe), calibrated where the model folder says how; the highest of several calls.
        cited: (scope, category id) pairs, in the policy's order; each exists in the policy.
        unevaluated: ids of the policy's categories that the model was never tested on.
        clauses: cited clauses, as ``<category id>/<clause id>``.
        reasoning: the text of the reasoning; several calls are joined by a blank line.
        raw: everything the model wrote, reasoning and verdict.
        findings: what each call found that was judged, also where another call's failure gave the status.
        prompt_digest: SHA-256 over the token ids of all prompts, in order.
        engine_ms: time from submission to answer, in milliseconds.

    """

    status: Status
    model_label: Label | None = None
    score: float | None = None
    score_method: ScoreMethod | None = None
    cited: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    clauses: tuple[str, ...] = ()
    unevaluated: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    reasoning: str | None = None
    raw: str | None = None
    truncated: bool = False
    prompt_digest: str | None = None
    usage: Usage = NO_USAGE
    engine_ms: float = 0.0


#: Stands for the calls that were not made, since not all parts of the policy take the message's language.
UNSPOKEN: Final = Judgement(status="language_unsupported")


class Judge(Protocol):
    """Something that judges. Built and warm before the worker joins its group."""

    @property
    def model(self) -> ModelRef:
        """Name and fingerprint that go into every verdict."""

    async def start(self) -> None:
        """Build and warm the engine; may take a minute and may block the loop.

        Raises:
            ModelError: the model's folder cannot be served.
            EngineDead: the engine did not come up.

        """

    async def judge(self, message: Message, policy: EffectivePolicy, *, priority: int = 0) -> Judgement:
        """Judge one message. Safe to call many times at once; cancelling aborts the engine's work.

        ``priority``: lower goes first. A failure of this one message is a judgement with its status.

        Raises:
            EngineDead: nothing can be judged any more.
            EngineAborted: this message was cut short and must be judged again.

        """

    def estimate_tokens(self, message: Message, policy: EffectivePolicy | None = None) -> int:
        """Return a cheap estimate of the tokens that judging this message takes, for fair admission.

        Without ``policy``: of one call.
        """

    def calls_at_once(self, message: Message, policy: EffectivePolicy | None = None) -> int:
        """Return how many calls for this message are in the engine together, at most; at least 1."""

    def check(self) -> None:
        """Return while the engine is well.

        Raises:
            EngineDead: it is gone, or makes no steps although it has work.

        """

    async def stop(self) -> None:
        """End the engine and every process of it. Safe to call twice."""
