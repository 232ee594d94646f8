"""A verdict to start from, for tests of what reads verdicts."""

from __future__ import annotations

from worker.records import CategoryVerdict, ModelRef, PolicyPart, PolicyRef, Source, Timing, Usage, Verdict


def policy_part(scope: str, version: int) -> PolicyPart:
    """Return a part of an effective policy."""
    return PolicyPart(scope=scope, version=version, digest="d", offset=0)


def some_verdict(*parts: PolicyPart) -> Verdict:
    """Return an unsafe verdict under these parts."""
    return Verdict(
        verdict_id="v",
        tenant_id="t",
        message_id="m",
        revision=None,
        role="user",
        channel_id=None,
        conversation_id=None,
        language=None,
        mode="live",
        run_id=None,
        status="judged",
        label="unsafe",
        model_label="unsafe",
        score=0.875,
        score_method="trace",
        categories=(
            CategoryVerdict(scope="platform", id="U7", severity="high", hit=True),
            CategoryVerdict(scope="t", id="U8", severity="low", hit=False),
        ),
        clauses=(),
        unevaluated=(),
        action="block",
        trace_id=None,
        policy=PolicyRef(digest="d", parts=parts),
        model=ModelRef(fingerprint=None, name=None),
        prompt_digest=None,
        source=Source(topic="x", partition=0, offset=0, timestamp=0),
        timing=Timing(queue_ms=None, engine_ms=None, total_ms=None),
        usage=Usage(prompt_tokens=0, cached_tokens=0, reasoning_tokens=0, output_tokens=0),
        cache=None,
    )
