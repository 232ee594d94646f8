"""What a judgement says about a golden case."""

from __future__ import annotations

from worker.judge.judgement import Judgement
from worker.judge.verdict import decide
from worker.policy.golden import Answer
from worker.policy.model import EffectivePolicy


def answer_of(judgement: Judgement, effective: EffectivePolicy) -> Answer:
    """Return what a judgement means under a policy's thresholds."""
    decision = decide(judgement, effective)
    hits = tuple(item.id for item in decision.categories if item.hit)
    return Answer(status=decision.status, label=decision.label, hits=hits)
