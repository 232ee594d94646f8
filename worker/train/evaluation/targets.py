"""What a model is held to, figure by figure, from its report alone. Pure.

The figures and their bounds are those that the project set itself before it measured; none is left out
because it is not reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from worker.records import ScoreMethod
from worker.train.data.papers import PAPERS
from worker.train.evaluation.following import EDITS, HOLD, WITH_CONTROL
from worker.train.evaluation.metrics import Calibration
from worker.train.evaluation.quality import Versus
from worker.train.evaluation.report import Report

#: Sets on at least ``_SETS_ABOVE`` of which the linear baseline is to be beaten for certain.
BEATABLE: Final = ("convabuse/abuse", "diasafety", "edos/sexism", "sms/spam")
_SETS_ABOVE: Final = 2
_FAR_BELOW: Final = -0.02
_OVER_RIGHT: Final[dict[str, float]] = {"removed": 0.9, "returned": 0.9, HOLD: 0.95}
_LOWER_OF_BOTH: Final[dict[str, float]] = {"violates_allowed_swapped": 0.8}
#: An edit alone says nothing here: names alone never flip, so whoever flips at random is above them. With its control,
#: and over rows right under the full policy (issue 4 gates every pair so), flipping at random gains nothing.
_OVER_NAMES: Final = (EDITS, *WITH_CONTROL.values(), "violates_allowed_swapped")
_CITED: Final = 0.8
_UNPARSED: Final = 0.01
_ECE: Final = 0.05
#: So many scores are to be pooled.
ECE_ROWS: Final = 4000
_ECE_OF_A_SOURCE: Final = 0.08
_GAP: Final = 0.1


class Target(Struct, frozen=True, kw_only=True):
    """One figure: what was asked of it, what was found, and whether that is enough."""

    figure: str
    asked: str
    found: str
    met: bool


def targets(report: Report, method: ScoreMethod) -> tuple[Target, ...]:
    """Return every target that the report has a figure for, with the scores of one method."""
    return (
        *_baseline(report.baseline.get(method, {})),
        *_following(report, method),
        *_reasoning(report, method),
        *_format(report),
        *_calibration(report, method),
        *_identity(report, method),
    )


def _baseline(found: Mapping[str, Versus]) -> Iterator[Target]:
    sets = {name: one.difference for name, one in found.items() if "(" not in name}
    above = {name: one for name, one in sets.items() if name in BEATABLE and one.low > 0}
    rest = {name: one for name, one in sets.items() if name not in above}
    if sets:
        yield Target(
            figure="macro-F1 minus the linear baseline's",
            asked=f"lower bound above 0 on {_SETS_ABOVE} of {', '.join(BEATABLE)}",
            found="; ".join(f"{name} {one}" for name, one in above.items()) or "on none",
            met=len(above) >= _SETS_ABOVE,
        )
    if rest:
        low = min(rest, key=lambda name: rest[name].low)
        asked = f"lower bound above {_FAR_BELOW}"
        text = f"{sum(one.low > _FAR_BELOW for one in rest.values())} of {len(rest)}; lowest {low} {rest[low]}"
        yield Target(figure="the same on all other sets", asked=asked, found=text, met=rest[low].low > _FAR_BELOW)


def _following(report: Report, method: ScoreMethod) -> Iterator[Target]:
    found = report.following.get(method, {})
    shares = [
        (kind, bound, found[kind].over_right, "of rows right under the full policy")
        for kind, bound in _OVER_RIGHT.items()
        if kind in found
    ]
    shares += [
        (kind, bound, found[kind].lower, "lower of both labels")
        for kind, bound in _LOWER_OF_BOTH.items()
        if kind in found
    ]
    for kind, bound, share, what in shares:
        if share:
            met = share.value >= bound
            yield Target(figure=f"{_name(kind)}, {what}", asked=f"at least {bound}", found=str(share), met=met)
    for kind in _OVER_NAMES:
        gap = found[kind].right_over_listed if kind in found else None
        if gap:
            figure = f"{_name(kind)}, over names alone, of rows right under the full policy"
            text = f"{gap}; of all rows {found[kind].over_listed}"
            yield Target(figure=figure, asked="lower bound above 0", found=text, met=gap.low > 0)


def _reasoning(report: Report, method: ScoreMethod) -> Iterator[Target]:
    if method in report.citation:
        one = report.citation[method]
        found = f"{one.right}; the commonest category {one.majority:.3f}, a linear model {one.linear:.3f}"
        if method in report.citation_parts:
            part = report.citation_parts[method]
            found += f"; of parts of concepts {part.right}, {part.majority:.3f}, {part.linear:.3f}"
        met = one.right.value >= _CITED
        yield Target(figure="right category cited", asked=f"at least {_CITED}", found=found, met=met)
    if report.quotes and report.quotes.verbatim is not None:
        share, free = report.quotes.verbatim, report.quotes_free
        found = f"{share:.4f} of {report.quotes.quotes} as served"
        if free and free.verbatim is not None:
            found += f"; written freely {free.verbatim:.4f} of {free.quotes}"
        yield Target(figure="quotes word for word", asked="all", found=found, met=share == 1)


def _format(report: Report) -> Iterator[Target]:
    if report.format:
        share = report.format.unparsed
        found = f"{share:.4f} of {report.format.rows}"
        asked = f"at most {_UNPARSED}"
        yield Target(figure="unparsed without grammar", asked=asked, found=found, met=share <= _UNPARSED)
    found = f"{report.unparsed_as_served} of {report.questions}"
    yield Target(figure="unparsed as served", asked="none", found=found, met=not report.unparsed_as_served)


def _calibration(report: Report, method: ScoreMethod) -> Iterator[Target]:
    if method not in report.quality:
        return
    table = report.quality[method]
    if pooled := table.pooled.calibration:
        asked = f"at most {_ECE}, of {ECE_ROWS} rows or more"
        met = pooled.ece <= _ECE and pooled.rows >= ECE_ROWS
        yield Target(figure="ECE, pooled", asked=asked, found=_error(pooled), met=met)
    # A paper's set with one label is a line of its own, and no measure of calibration.
    errors = {
        name: one.calibration
        for name, one in table.by_source.items()
        if one.calibration and (name not in PAPERS or 0 < one.unsafe < one.rows)
    }
    if errors:
        worst = max(errors, key=lambda name: errors[name].ece)
        above = sorted(name for name, one in errors.items() if one.ece > max(_ECE_OF_A_SOURCE, one.chance_high))
        found = f"highest {worst} {_error(errors[worst])}; above it and above chance: {', '.join(above) or 'none'}"
        asked, met = f"at most {_ECE_OF_A_SOURCE}", errors[worst].ece <= _ECE_OF_A_SOURCE
        yield Target(figure="ECE by source", asked=asked, found=found, met=met)


def _error(one: Calibration) -> str:
    """Write a calibration error beside what perfect scores would have with so many rows."""
    return f"{one.ece:.3f} of {one.rows} rows (scores that are right: {one.chance:.3f}, up to {one.chance_high:.3f})"


def _identity(report: Report, method: ScoreMethod) -> Iterator[Target]:
    gaps = {key: one.gap for key, one in report.identity.get(method, {}).items() if one.gap is not None}
    if gaps:
        worst = max(gaps, key=lambda key: gaps[key])
        figure = "false-positive rate over identity terms, highest minus lowest"
        one = report.identity[method][worst]
        found = f"{gaps[worst]:.2f}, policy {worst}, {one.rows / max(1, one.terms):.0f} texts a term"
        if one.chance is not None and one.chance_high is not None:
            found += f" (terms treated alike: {one.chance:.2f}, up to {one.chance_high:.2f})"
        yield Target(figure=figure, asked=f"at most {_GAP}", found=found, met=gaps[worst] <= _GAP)


def _name(kind: str) -> str:
    return kind.replace("_", " ")
