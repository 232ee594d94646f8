"""What the topic ``replays`` holds: what a run replays, fixed at its start, and that it ended.

Everything that a resumed run must not decide anew stands here: ranges, filters, policies, model.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from worker.records import Label, ModelRef, Name, Rfc3339, SafeInt, Share

PolicyMode = Literal["as-judged", "now", "file"]
RunState = Literal["started", "finished"]
PartitionNumber = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class ReplayRange(Struct, frozen=True, kw_only=True):
    """The part of one partition that a run replays; ends are excluded.

    Attributes:
        partition: number of the partition, of messages and outputs alike.
        start: first offset of ``messages``.
        end: end in ``messages``, taken when the run was planned.
        verdicts_start: where in ``verdicts`` the original verdicts begin at the earliest.
        verdicts_end: end of ``verdicts`` when the run was planned; later verdicts are no originals.
        outputs_start: end of ``replay-verdicts`` when the run was planned; its outcomes stand behind it.

    """

    partition: PartitionNumber
    start: SafeInt
    end: SafeInt
    verdicts_start: SafeInt
    verdicts_end: SafeInt
    outputs_start: SafeInt


class ReplayFilter(Struct, frozen=True, kw_only=True):
    """Which messages of the ranges are replayed; an empty list or null asks for nothing.

    ``from_ms`` (included) and ``to_ms`` (excluded) are Kafka's times in milliseconds; ``labels`` and
    ``categories`` (ids that were hit) are those of the original verdict.
    """

    tenants: tuple[Name, ...] = ()
    channels: tuple[Name, ...] = ()
    labels: tuple[Label, ...] = ()
    categories: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None


class ReplayPolicies(Struct, frozen=True, kw_only=True):
    """What a run judges under.

    Attributes:
        mode: what each original verdict was judged under; what is in force when the run is planned;
            or the first, with one part replaced by a file.
        history_end: end of ``policy-history`` when the run was planned.
        scope: whose part the file replaces; null without a file.
        policy: the file as JSON text; null without a file.

    """

    mode: PolicyMode
    history_end: SafeInt
    scope: str | None = None
    policy: str | None = None


class ReplayCounts(Struct, frozen=True, kw_only=True):
    """What became of the offsets of the ranges.

    Attributes:
        read: records that were there.
        skipped: null values and records that are no messages; each has its own outcome in the log.
        filtered: messages that the filter leaves out.
        without_original: messages without an original verdict where the run needs one.
        unresolved: messages whose policy's digest could not be rebuilt from ``policy-history``.
        judged: messages with an outcome of this run.
        control: messages of these that were judged twice.
        gone: offsets that retention took before they were read.

    """

    read: SafeInt = 0
    skipped: SafeInt = 0
    filtered: SafeInt = 0
    without_original: SafeInt = 0
    unresolved: SafeInt = 0
    judged: SafeInt = 0
    control: SafeInt = 0
    gone: SafeInt = 0


class ReplayRun(Struct, frozen=True, kw_only=True):
    """A replay: the first record of a run says what it does, the first ``finished`` one what came of it."""

    run_id: Name
    state: RunState
    started_at: Rfc3339
    finished_at: Rfc3339 | None
    by: str
    topic: str
    ranges: tuple[ReplayRange, ...]
    filter: ReplayFilter
    policies: ReplayPolicies
    model: ModelRef
    control_share: Share
    counts: ReplayCounts | None = None
