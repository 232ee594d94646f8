"""What a comparison of a replay with its originals is made of: outcomes, groups, the control, the whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from worker.audit.intervals import Interval
from worker.records import Action, Label, Status, Usage

#: Width of a bar in the histogram of score changes; changes lie between -1 and 1.
SCORE_STEP: Final = 0.1


class Outcome(Struct, frozen=True, kw_only=True):
    """What a comparison needs of one verdict.

    ``hits`` are ``<scope>:<category id>``, in no order; ``rung`` is that of the overload ladder, if it was on one.
    """

    tenant_id: str
    message_id: str
    language: str | None
    partition: int
    offset: int
    status: Status
    label: Label | None
    action: Action
    score: float | None
    hits: frozenset[str]
    policy_digest: str | None
    fingerprint: str | None
    usage: Usage
    engine_ms: float
    rung: str | None = None

    @property
    def state(self) -> str:
        """The label, or the status of what was not judged."""
        return self.label or self.status


class Example(Struct, frozen=True, kw_only=True):
    """A message by its ids; a report never holds a text."""

    tenant_id: str
    message_id: str
    partition: int
    offset: int
    before: str
    after: str


class Cell(Struct, frozen=True, kw_only=True):
    """How many messages were ``before`` in the original verdicts and ``after`` in the replay."""

    before: str
    after: str
    count: int


class Group(Struct, frozen=True, kw_only=True):
    """The messages that have something in common: a tenant, a language, an unchanged policy.

    Attributes:
        key: what they have in common.
        messages: how many were compared.
        judged: how many were judged both times; ``rate`` is the share of flips among these.
        to_unsafe, to_safe: flips by direction.
        status_changes: messages that were judged only one of both times, or failed otherwise.
        action_changes: messages whose recommended action is another one.
        rate: share of flips with its interval (95 %, Wilson).
        examples: some of the messages that flipped.

    """

    key: str
    messages: int
    judged: int
    to_unsafe: int
    to_safe: int
    status_changes: int
    action_changes: int
    rate: Interval
    examples: tuple[Example, ...]

    @property
    def flips(self) -> int:
        """Flips in both directions."""
        return self.to_unsafe + self.to_safe


class CategoryGroup(Struct, frozen=True, kw_only=True):
    """One category: messages that hit it before and after, those that began to and those that ceased to."""

    key: str
    before: int
    after: int
    gained: int
    lost: int
    examples: tuple[Example, ...]


class Control(Struct, frozen=True, kw_only=True):
    """The sample that was judged twice by the replay.

    Attributes:
        pairs: messages judged both times.
        flips: those with two labels.
        rate: their share with its interval (95 %, Wilson).
        score_shift_mean, score_shift_max: how far two scores of one message lie apart.
        examples: messages whose label depends on numerics.

    """

    pairs: int
    flips: int
    rate: Interval
    score_shift_mean: float | None
    score_shift_max: float | None
    examples: tuple[Example, ...]


class Confusion(Struct, frozen=True, kw_only=True):
    """Verdicts against labels that people gave; ``unsafe`` is the positive. Unjudged ones count in neither rate."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    unjudged: int
    precision: Interval
    recall: Interval


class Quality(Struct, frozen=True, kw_only=True):
    """Precision and recall of both sides, on the messages that have a label."""

    labelled: int
    before: Confusion
    after: Confusion


class Cost(Struct, frozen=True, kw_only=True):
    """Tokens and engine time; the control's share is part of neither ``messages`` nor the other figures."""

    messages: int
    prompt_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    output_tokens: int
    engine_s: float


class Comparison(Struct, frozen=True, kw_only=True):
    """A replay against its originals.

    Attributes:
        total: all compared messages.
        matrix: how many went from where to where, in the order of the states' names.
        tenants, languages, categories: the same by group, those with most flips first.
        same_policy, other_policy: messages whose effective policy had the same digest both times, and the rest.
        other_rung: messages judged in full one time, and with less for overload, or held, the other.
        control: the A/A control.
        excess: flip rate of ``total`` less that of the control, with its interval (95 %, Newcombe's method 10).
        explained: whether the control's flip rate explains that of ``total`` (the excess may be zero or less);
            null without a control.
        score_changes: messages by change of score, in steps of ``SCORE_STEP`` from -1 to 1.
        without_original: outcomes of the replay with no original verdict to compare with.
        models_before, models_after: messages by the fingerprint of the model that judged.
        cost, control_cost: what the replay, and the second judgement of the sample, took.
        quality: precision and recall; null without labels.

    """

    total: Group
    matrix: tuple[Cell, ...]
    tenants: tuple[Group, ...]
    languages: tuple[Group, ...]
    categories: tuple[CategoryGroup, ...]
    same_policy: Group
    other_policy: Group
    other_rung: Group
    control: Control
    excess: Interval
    explained: bool | None
    score_changes: tuple[int, ...]
    without_original: int
    models_before: dict[str, int]
    models_after: dict[str, int]
    cost: Cost
    control_cost: Cost
    quality: Quality | None


#: Labels that people gave, by tenant (None where they do not say whose) and message id.
Labels = Mapping[tuple[str | None, str], Label]
