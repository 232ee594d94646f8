"""Sentences of a replay's report, the same on a terminal and on a page. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Final

from worker.audit.comparison import Comparison
from worker.audit.intervals import Interval
from worker.audit.replay.report import ReplayReport
from worker.replay_records import ReplayFilter

#: What is left where neither policy nor model nor overload can have done it.
_UNREPEATABLE: Final = (
    "their policy and model are the same: the original verdicts cannot be repeated (other hardware or libraries, "
    "or they were altered; 'rsafe audit verify' looks for that)"
)


def percent(found: Interval) -> str:
    """Return a share with its interval, such as ``1.5 % (0.5 to 4.3)``."""
    if found.value is None:
        return "nothing to tell from"
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def attribution(comparison: Comparison) -> str:
    """Say whether the A/A control explains the flips."""
    control = comparison.control
    if comparison.explained is None:
        return "A/A control: none, so flips of policy cannot be told from flips of numerics (--control)"
    seen = f"A/A control: {control.flips} flips in {control.pairs} messages judged twice, {percent(control.rate)}"
    excess = comparison.excess
    value = 0.0 if excess.value is None else 100 * excess.value
    more = (
        f"the replay's rate less the control's: {value:.1f} points ({100 * excess.low:.1f} to {100 * excess.high:.1f})"
    )
    if comparison.explained:
        return f"{seen}; {more}: numerics alone may explain the flips"
    told = f"{seen}; {more}: numerics alone do not explain the flips"
    causes = [
        *(["policy"] * (comparison.other_policy.flips > 0)),
        *(["model"] * (not same_model(comparison))),
        *(["overload"] * (comparison.other_rung.flips > 0)),
    ]
    return f"{told}, {' or '.join(causes)} does" if causes else f"{told}, and {_UNREPEATABLE}"


def same_model(comparison: Comparison) -> bool:
    """Tell whether one model judged all, both times."""
    return len(comparison.models_before.keys() | comparison.models_after.keys()) <= 1


def models_in_words(comparison: Comparison) -> str:
    """Say whether the model is the same as that of the original verdicts; nothing where there is nothing."""
    if not comparison.total.messages:
        return ""
    if same_model(comparison):
        return "the model is the one of the original verdicts, by its fingerprint"
    names = ", ".join(f"{name[:12]} ({count})" for name, count in sorted(comparison.models_before.items()))
    after = ", ".join(f"{name[:12]}" for name in sorted(comparison.models_after))
    whose = "policy and model together" if comparison.other_policy.flips else "the model"
    return f"another model: {after} now, originally {names}; flips are of {whose}"


def counts_in_words(report: ReplayReport) -> list[str]:
    """Say what became of the offsets, and of the policies."""
    comparison, counts = report.comparison, report.run.counts
    same, other = comparison.same_policy, comparison.other_policy
    lines = []
    if counts is not None:
        left_out = {
            "no messages": counts.skipped,
            "outside the filter": counts.filtered,
            "without an original verdict": counts.without_original,
            "under a policy that the history does not give": counts.unresolved,
            "gone by retention": counts.gone,
        }
        named = ", ".join(f"{count} {name}" for name, count in left_out.items() if count)
        lines.append(f"read {counts.read}, judged {counts.judged}" + (f"; left out: {named}" if named else ""))
    if comparison.without_original:
        lines.append(f"{comparison.without_original} outcomes have no original verdict to compare with")
    if report.doubled:
        lines.append(f"{report.doubled} outcomes are doubles; the first of each offset counts")
    lines.append(
        f"policy unchanged for {same.messages} messages ({same.flips} flips), "
        f"another one for {other.messages} ({other.flips} flips)"
    )
    rung = comparison.other_rung
    if rung.messages:
        lines.append(
            f"{rung.messages} messages were judged with less for overload, or held, one time and in full the other: "
            f"their {rung.flips} flips and {rung.status_changes} other statuses need not be the policy's"
        )
    return lines


def filter_in_words(wanted: ReplayFilter) -> str:
    """Say which messages were asked for."""
    parts = [
        f"{name} {', '.join(values)}"
        for name, values in (
            ("tenant", wanted.tenants),
            ("channel", wanted.channels),
            ("label", wanted.labels),
            ("category", wanted.categories),
        )
        if values
    ]
    parts += [
        f"{word} {dt.datetime.fromtimestamp(at / 1000, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        for word, at in (("from", wanted.from_ms), ("to", wanted.to_ms))
        if at is not None
    ]
    return "; ".join(parts) or "no filter"
