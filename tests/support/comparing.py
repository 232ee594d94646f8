"""Outcomes and reports of replays that never were, for tests of what compares and shows them."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any, Final

from msgspec import structs

from worker.audit.compare import Comparer
from worker.audit.comparison import Labels, Outcome
from worker.audit.replay.report import ReplayReport, RunSummary
from worker.records import ModelRef, Usage
from worker.replay_records import ReplayCounts, ReplayFilter

USAGE: Final = Usage(prompt_tokens=400, cached_tokens=384, reasoning_tokens=20, output_tokens=24)
NOON: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def outcome(offset: int = 0, label: str | None = "safe", **fields: Any) -> Outcome:
    """Build an outcome; unsafe ones hit U7 and are blocked."""
    unsafe = label == "unsafe"
    chosen: dict[str, Any] = {
        "tenant_id": "acme",
        "message_id": f"m{offset}",
        "language": "en",
        "partition": 0,
        "offset": offset,
        "status": "timeout" if label is None else "judged",
        "label": label,
        "action": "block" if unsafe else "allow",
        "score": None if label is None else 0.9 if unsafe else 0.1,
        "hits": frozenset({"platform:U7"}) if unsafe else frozenset(),
        "policy_digest": "p1",
        "fingerprint": "f1",
        "usage": USAGE,
        "engine_ms": 100.0,
    }
    return Outcome(**(chosen | fields))


def some_report(seed: int = 1, messages: int = 2000, **names: str) -> ReplayReport:
    """Build a report of a what-if with flips, a control and labels; ``names`` replace ids that people choose."""
    draw = random.Random(seed)
    tenants = [names.get("tenant", "lumen-games"), "northbridge", "bazaar"]
    labels: Labels = {(None, f"m{offset}"): draw.choice(["safe", "safe", "unsafe"]) for offset in range(0, messages, 4)}
    comparer = Comparer(labels)
    for offset in range(messages):
        before, after = _pair(draw, offset, draw.choices(tenants, [5, 3, 2])[0], names)
        comparer.add(before, after)
        if draw.random() < 0.1:
            comparer.add_control(after, _jittered(draw, after))
    run = RunSummary(
        run_id=names.get("run_id", "r20260301-120000-3f9a"),
        finished=True,
        started_at=NOON,
        finished_at=NOON + dt.timedelta(seconds=754),
        duration_s=754.0,
        topic="moderation.messages",
        partitions=8,
        offsets=messages + 40,
        filter=ReplayFilter(tenants=("lumen-games", "northbridge", "bazaar")),
        policies="what if: as judged, with a file in place of the part of lumen-games",
        model=ModelRef(fingerprint="4e54813613b60d11d370965ad526215ab0af1f8e78c11264f138c2e8c0129835", name="rsafe-7b"),
        control_share=0.1,
        counts=ReplayCounts(read=messages + 40, skipped=12, filtered=28, judged=messages, control=messages // 10),
    )
    return ReplayReport(run=run, comparison=comparer.result(), doubled=0, made_at=NOON + dt.timedelta(seconds=760))


def _pair(draw: random.Random, offset: int, tenant: str, names: dict[str, str]) -> tuple[Outcome, Outcome]:
    language = draw.choices(["en", "de", "es", None], [6, 2, 1, 1])[0]
    label = draw.choices(["safe", "unsafe", None], [70, 28, 2])[0]
    category = (
        names.get("category", f"{tenant}:spam") if draw.random() < 0.4 else draw.choice(["platform:U7", "platform:U8"])
    )
    fields: dict[str, Any] = {"tenant_id": tenant, "language": language}
    hits = frozenset({category}) if label == "unsafe" else frozenset()
    before = outcome(offset, label, hits=hits, **fields)
    if offset == 0:
        before = structs.replace(before, message_id=names.get("message_id", before.message_id))
    digest = "p2" if "lumen" in tenant else "p1"
    after = structs.replace(_jittered(draw, before), policy_digest=digest)
    if digest == "p2" and category.endswith("spam") and label == "unsafe":
        after = outcome(offset, "safe", message_id=before.message_id, policy_digest=digest, **fields)
    return before, after


def _jittered(draw: random.Random, one: Outcome) -> Outcome:
    """Return the same judged again: a score that is a little off, and now and then another label."""
    if one.score is None:
        return one
    score = min(1.0, max(0.0, one.score + draw.gauss(0, 0.05)))
    if draw.random() > 0.01:
        return structs.replace(one, score=score)
    return outcome(
        one.offset,
        "safe" if one.label == "unsafe" else "unsafe",
        tenant_id=one.tenant_id,
        message_id=one.message_id,
        language=one.language,
        policy_digest=one.policy_digest,
    )
