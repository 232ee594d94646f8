"""The report of a replay as one HTML page that needs nothing from outside: no script, no font, no picture file. Pure.

Whatever comes from a record, such as the name of a tenant or a message's id, is escaped; the page's own
policy forbids scripts as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from worker.audit.comparison import SCORE_STEP, CategoryGroup, Comparison, Cost, Example, Group, Quality
from worker.audit.intervals import Interval
from worker.audit.replay.report import ReplayReport
from worker.audit.replay.report_svg import Bar, Tone, Whisker, diverging, histogram, whiskers
from worker.audit.replay.report_words import attribution, counts_in_words, filter_in_words, models_in_words, percent
from worker.show import visible

_TEMPLATE: Final = Path(__file__).with_name("report.html")
#: Rows of a picture; the table below it has all of them.
_MOST_BARS: Final = 12
_NAME_CELLS: Final = 80


def page(report: ReplayReport) -> str:
    """Return the page."""
    comparison = report.comparison
    parts = {
        "run_id": _safe(report.run.run_id),
        "about": _safe(report.run.policies),
        "tiles": _tiles(report),
        "finding_kind": "" if comparison.explained in {None, True} else "policy",
        "finding": _finding(comparison),
        "shares": _shares(comparison),
        "matrix": _matrix(comparison),
        "scores": histogram(comparison.score_changes, SCORE_STEP, "Messages by change of score"),
        "tenants": _groups("tenant", comparison.tenants),
        "categories": _categories(comparison.categories),
        "languages": _groups("language", comparison.languages),
        "quality": _quality(comparison.quality),
        "cost": _costs(comparison),
        "details": _details(report),
        "made_at": f"{report.made_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(parts)


def _tiles(report: ReplayReport) -> str:
    run, comparison = report.run, report.comparison
    total, control = comparison.total, comparison.control
    tokens = comparison.cost.prompt_tokens + comparison.cost.output_tokens
    took = "not finished" if run.duration_s is None else _duration(run.duration_s)
    tiles = (
        (f"{total.messages:,}", "messages compared"),
        (f"{total.flips:,}", f"flips: {total.to_unsafe:,} to unsafe, {total.to_safe:,} to safe"),
        (_short(total.rate), "flip rate"),
        (_short(control.rate), f"in the A/A control of {control.pairs:,}"),
        (f"{tokens:,}", "tokens"),
        (took, "from start to end"),
    )
    return "".join(
        f'<div class="tile"><b>{_safe(figure)}</b><span>{_safe(name)}</span></div>' for figure, name in tiles
    )


def _finding(comparison: Comparison) -> str:
    lines = (attribution(comparison), models_in_words(comparison))
    return "".join(f"<p>{_safe(line[0].upper() + line[1:])}.</p>" for line in lines if line)


def _shares(comparison: Comparison) -> str:
    def row(label: str, found: Interval, flips: int, of: int, tone: Tone) -> Whisker:
        return Whisker(f"{label} ({flips} of {of})", found, tone, f"{flips} of {of}: {percent(found)}")

    rows = []
    for label, group, tone in (
        ("this replay", comparison.total, "unsafe"),
        ("policy unchanged", comparison.same_policy, "plain"),
        ("other policy", comparison.other_policy, "unsafe"),
    ):
        rows.append(row(label, group.rate, group.flips, group.judged, tone))  # type: ignore[arg-type]
    control = comparison.control
    rows.insert(1, row("A/A control", control.rate, control.flips, control.pairs, "control"))
    return whiskers(rows, "Flip rates with intervals")


def _matrix(comparison: Comparison) -> str:
    before = sorted({cell.before for cell in comparison.matrix})
    after = sorted({cell.after for cell in comparison.matrix})
    counts = {(cell.before, cell.after): cell.count for cell in comparison.matrix}
    rows = ["<tr><th></th>" + "".join(f"<th>{_safe(state)}</th>" for state in after) + "</tr>"]
    for state in before:
        total = sum(counts.get((state, other), 0) for other in after)
        cells = (_matrix_cell(state, other, counts.get((state, other), 0), total) for other in after)
        rows.append(f"<tr><th>{_safe(state)}</th>{''.join(cells)}</tr>")
    return f'<table class="matrix">{"".join(rows)}</table>'


def _matrix_cell(before: str, after: str, count: int, total: int) -> str:
    note = f"{count} of {total} that were {before}"
    if before == after:
        return f'<td class="same" title="{_safe(note)}">{count:,}</td>'
    shade = 0.0 if not count else 0.15 + 0.6 * count / total
    return f'<td style="background:rgba(var(--tint),{shade:.2f})" title="{_safe(note)}">{count:,}</td>'


def _groups(name: str, groups: Sequence[Group]) -> str:
    if not groups:
        return "<p>Nothing to compare.</p>"
    bars = [
        Bar(_name(one.key), one.to_safe, one.to_unsafe, f"{one.key}: {one.flips} of {one.judged}, {percent(one.rate)}")
        for one in groups[:_MOST_BARS]
    ]
    head = (name, "messages", "flips", "rate (95 %)", "to unsafe", "to safe", "other status", "other action")
    table = _table(head, groups, _group_cells, [one.examples for one in groups])
    return diverging(bars, "to safe", "to unsafe", f"Flips by {name}") + _folded(f"all {len(groups)}, with ids", table)


def _group_cells(group: Group) -> tuple[object, ...]:
    figures = (group.to_unsafe, group.to_safe, group.status_changes, group.action_changes)
    return _name(group.key), group.messages, group.flips, percent(group.rate), *figures


def _categories(groups: Sequence[CategoryGroup]) -> str:
    if not groups:
        return "<p>No category was hit, neither before nor after.</p>"
    bars = [
        Bar(_name(one.key), one.lost, one.gained, f"{one.key}: {one.before} before, {one.after} after")
        for one in groups[:_MOST_BARS]
    ]
    head = ("category", "before", "after", "lost", "gained")
    table = _table(
        head,
        groups,
        lambda one: (_name(one.key), one.before, one.after, one.lost, one.gained),
        [one.examples for one in groups],
    )
    return diverging(bars, "lost", "gained", "Hits by category") + _folded(f"all {len(groups)}, with ids", table)


def _table(
    head: Iterable[str],
    rows: Sequence[Group] | Sequence[CategoryGroup],
    cells: Callable[..., tuple[object, ...]],
    examples: Sequence[Sequence[Example]],
) -> str:
    lines = ["<tr>" + "".join(f"<th>{_safe(name)}</th>" for name in head) + '<th class="left">examples</th></tr>']
    for row, some in zip(rows, examples, strict=True):
        shown = "".join(f"<td>{_safe(f'{cell:,}' if isinstance(cell, int) else str(cell))}</td>" for cell in cells(row))
        lines.append(f'<tr>{shown}<td class="ids">{_ids(some)}</td></tr>')
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _ids(examples: Iterable[Example]) -> str:
    return ", ".join(
        f'<code title="{_safe(f"partition {one.partition}, offset {one.offset}: {one.before} to {one.after}")}">'
        f"{_safe(_name(one.message_id))}</code>"
        for one in examples
    )


def _folded(summary: str, inside: str) -> str:
    return f"<details><summary>{_safe(summary)}</summary>{inside}</details>"


def _quality(quality: Quality | None) -> str:
    if quality is None:
        return ""
    rows = []
    for side, one in (("original", quality.before), ("replay", quality.after)):
        for name, found, tone in (("precision", one.precision, "plain"), ("recall", one.recall, "control")):
            rows.append(Whisker(f"{name}, {side}", found, tone, f"{name}: {percent(found)}"))  # type: ignore[arg-type]
    rows.sort(key=lambda row: row.label.partition(",")[0])
    after = quality.after
    counts = (
        f"{quality.labelled:,} messages have a label of people. In the replay {after.true_positives:,} are unsafe and "
        f"found, {after.false_negatives:,} missed, {after.false_positives:,} flagged though safe, "
        f"{after.unjudged:,} not judged."
    )
    picture = whiskers(rows, "Precision and recall with intervals")
    head = f'<h2>Against the labels of people</h2><p class="note">{_safe(counts)}</p>'
    return f'<section class="card">{head}{picture}</section>'


def _costs(comparison: Comparison) -> str:
    head = ("", "judgements", "prompt tokens", "of these cached", "reasoning tokens", "written tokens", "engine time")
    rows = "".join(
        _cost_row(name, one) for name, one in (("replay", comparison.cost), ("control", comparison.control_cost))
    )
    return f"<table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{rows}</table>"


def _cost_row(name: str, cost: Cost) -> str:
    figures = (cost.messages, cost.prompt_tokens, cost.cached_tokens, cost.reasoning_tokens, cost.output_tokens)
    cells = "".join(f"<td>{figure:,}</td>" for figure in figures)
    return f"<tr><td>{name}</td>{cells}<td>{_duration(cost.engine_s)}</td></tr>"


def _details(report: ReplayReport) -> str:
    run = report.run
    rows = [
        ("messages", f"{run.offsets:,} offsets of {run.topic} in {run.partitions} partitions"),
        ("filter", filter_in_words(run.filter)),
        ("judged under", run.policies),
        ("model", f"{run.model.name}, fingerprint {run.model.fingerprint}"),
        ("control", f"{100 * run.control_share:g} % of the messages"),
        ("started", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC"),
        *(("" if number else "came of it", line) for number, line in enumerate(counts_in_words(report))),
    ]
    return "".join(f"<dt>{_safe(name)}</dt><dd>{_safe(value)}</dd>" for name, value in rows)


def _duration(seconds: float) -> str:
    for unit, size_s in (("h", 3600), ("min", 60)):
        if seconds >= size_s:
            return f"{seconds / size_s:.1f} {unit}"
    return f"{seconds:.1f} s"


def _short(found: Interval) -> str:
    return "none" if found.value is None else f"{100 * found.value:.1f} %"


def _name(text: str) -> str:
    """Return a name whose every character can be seen: none may turn the line around."""
    return visible(text, _NAME_CELLS)


def _safe(text: str) -> str:
    return escape(text, quote=True)
