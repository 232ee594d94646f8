"""The report of a replay for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.audit.comparison import CategoryGroup, Comparison, Confusion, Cost, Example, Group
from worker.audit.intervals import Interval
from worker.audit.replay.report import ReplayReport, RunSummary
from worker.audit.replay.report_words import attribution, counts_in_words, filter_in_words, models_in_words, percent
from worker.show import visible

#: Rows of a table; the rest is in --json and --html.
_MOST_ROWS: Final = 12
_ID_CELLS: Final = 28
_PIPE_COLUMNS: Final = 140


def show(report: ReplayReport) -> None:
    """Print a report on standard output."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_COLUMNS)
    for line in headlines(report):
        console.print(Text(line), soft_wrap=True)
    comparison = report.comparison
    console.print(_matrix(comparison))
    for name, groups in (("tenant", comparison.tenants), ("language", comparison.languages)):
        console.print(_groups(name, groups))
    if comparison.categories:
        console.print(_categories(comparison.categories))
    if comparison.quality is not None:
        console.print(_quality(comparison.quality.before, comparison.quality.after))


def headlines(report: ReplayReport) -> list[str]:
    """Return what stands above the tables."""
    run, comparison = report.run, report.comparison
    took = f"{run.duration_s:.1f} s" if run.duration_s is not None else "not finished: the figures are of what there is"
    lines = [
        f"replay {run.run_id}, {run.policies}",
        f"{run.offsets} offsets of {run.topic} in {run.partitions} partitions; {filter_in_words(run.filter)}; {took}",
        models_in_words(comparison),
        *counts_in_words(report),
        f"flips: {rate(comparison.total)} ({comparison.total.to_unsafe} to unsafe, {comparison.total.to_safe} to safe)",
        attribution(comparison),
        f"cost: {_cost(comparison.cost)}; control: {_cost(comparison.control_cost)}",
    ]
    return [line for line in lines if line]


def rate(group: Group) -> str:
    """Return a group's flips in words."""
    return f"{group.flips} of {group.judged} judged both times, {percent(group.rate)}"


def show_runs(runs: Sequence[RunSummary]) -> None:
    """Print one line for each replay."""
    if not runs:
        print("no replay was ever started; rsafe replay --help")
    for run in runs:
        state = f"{run.duration_s:.0f} s" if run.duration_s is not None else "not finished"
        judged = f"{run.counts.judged} judged" if run.counts else f"{run.offsets} offsets"
        print(f"{run.run_id}  {run.started_at:%Y-%m-%d %H:%M}  {state}  {judged}  {run.policies}")


def _cost(cost: Cost) -> str:
    tokens = f"{cost.prompt_tokens} prompt tokens ({cost.cached_tokens} cached), {cost.output_tokens} written"
    return f"{cost.messages} judgements, {tokens}, {cost.engine_s:.1f} s of engine time"


def _matrix(comparison: Comparison) -> Table:
    after = sorted({cell.after for cell in comparison.matrix})
    counts = {(cell.before, cell.after): cell.count for cell in comparison.matrix}
    table = Table("before \\ after", *after, title="from the original verdict to the replay's")
    for before in sorted({cell.before for cell in comparison.matrix}):
        table.add_row(before, *(str(counts.get((before, state), 0)) for state in after))
    return table


def _groups(name: str, groups: Sequence[Group]) -> Table:
    title = f"by {name}" + (f" (the first {_MOST_ROWS} of {len(groups)})" if len(groups) > _MOST_ROWS else "")
    table = Table(name, "messages", "flips", "rate", "to unsafe", "to safe", "other status", "other action", "examples")
    table.title = title
    for group in groups[:_MOST_ROWS]:
        figures = (group.messages, group.flips, percent(group.rate), group.to_unsafe, group.to_safe)
        more = (group.status_changes, group.action_changes)
        table.add_row(*_cells(group.key, *figures, *more, _ids(group.examples)))
    return table


def _categories(groups: Sequence[CategoryGroup]) -> Table:
    table = Table("category", "before", "after", "gained", "lost", "examples", title="by category that was hit")
    for group in groups[:_MOST_ROWS]:
        table.add_row(*_cells(group.key, group.before, group.after, group.gained, group.lost, _ids(group.examples)))
    return table


def _quality(before: Confusion, after: Confusion) -> Table:
    table = Table("", "precision", "recall", "not judged", title="against the labels of people")
    for name, one in (("original", before), ("replay", after)):
        table.add_row(*_cells(name, _interval(one.precision), _interval(one.recall), one.unjudged))
    return table


def _interval(found: Interval) -> str:
    return percent(found)


def _ids(examples: Iterable[Example]) -> str:
    return " ".join(visible(example.message_id, _ID_CELLS) for example in examples)


def _cells(*values: object) -> tuple[Text, ...]:
    """Return cells in which nothing of a tenant's or a message's name is read as markup."""
    return tuple(Text(visible(str(value), 200)) for value in values)
