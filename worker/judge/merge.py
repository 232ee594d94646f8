"""Several panels' judgements become one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from worker.judge.judgement import Judgement
from worker.records import Label


def merge(judgements: Sequence[Judgement]) -> Judgement:
    """Merge the judgements of all panels of one message, in the policy's order.

    The first failure's status stands; what was found by the others is kept beside it. The score is the
    highest. Spans, usage, digest and time are the caller's to add.
    """
    if len(judgements) == 1:
        return judgements[0]
    failed = next((one for one in judgements if one.status != "judged"), None)
    scored = [one for one in judgements if one.score is not None]
    highest = max(scored, key=lambda one: one.score or 0.0, default=None)
    return Judgement(
        status=failed.status if failed else "judged",
        model_label=_label(judgements),
        score=highest.score if highest else None,
        score_method=highest.score_method if highest else None,
        cited=tuple(pair for one in judgements for pair in one.cited),
        findings=tuple(finding for one in judgements for finding in one.findings),
        clauses=tuple(dict.fromkeys(clause for one in judgements for clause in one.clauses)),
        reasoning=joined([one.reasoning for one in judgements]),
        raw=joined([one.raw for one in judgements]),
        truncated=any(one.truncated for one in judgements),
    )


def _label(judgements: Sequence[Judgement]) -> Label | None:
    labels = {one.model_label for one in judgements}
    if "unsafe" in labels:
        return "unsafe"
    return "safe" if "safe" in labels else None


def joined(texts: Iterable[str | None]) -> str | None:
    """Return the texts of several calls as one, by blank lines; None without any."""
    present = [text for text in texts if text is not None]
    return "\n\n".join(present) if present else None
