"""The result table as Markdown, between markers of a page. Pure but for reading results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from worker.errors import TrainError
from worker.train.evaluation.bootstrap import Interval
from worker.train.study.plan import ARMS, DIFFERENCES, RESULTS_DIR, SETTINGS, Arm, Setting, Study, load_study
from worker.train.study.results import Found, Metric, difference, read_all, value

BEGIN: Final = "<!-- study:begin -->"
END: Final = "<!-- study:end -->"
NOT_RUN: Final = "not run yet"
_METRICS: Final[dict[Metric, str]] = {"macro_f1": "Macro-F1", "average_precision": "Average precision"}
_MARKED: Final = re.compile(rf"({re.escape(BEGIN)}\n).*?({re.escape(END)})", re.DOTALL)
#: What each setting asks, for the table's heads.
_HEADS: Final[dict[Setting, str]] = {
    "in_domain": "in domain",
    "near": "near, held out",
    "far": "far, held out",
    "swapped": "swapped policies",
}
Cell = Callable[[Setting], Interval | None]


def render(found: Found, study: Study) -> str:
    """Write every arm and difference; what was not run says so, and chance results stay."""
    parts = [_about(found, study)]
    for metric, title in _METRICS.items():
        parts += [f"{title}, mean over seeds and sets:", _arms(found, study, metric)]
        parts += [f"{title}, paired difference:", _differences(found, study, metric)]
    return "\n\n".join(parts)


def _about(found: Found, study: Study) -> str:
    dates = sorted({one.date for one in found.values()})
    when = f"measured {dates[0]} to {dates[-1]}" if dates else NOT_RUN
    models = f"{len(found)} of {len(ARMS) * len(study.seeds)} models"
    rows = {len(one.columns.unsafe) for one in found.values()}
    asked = f", {max(rows):,} questions each" if rows else ""
    parameters = {one.parameters for one in found.values()}
    size = f" of {max(parameters) / 1e6:.2f} million parameters" if parameters else ""
    return (
        f"{models}{size}{asked}; {when}; settings `{study.digest}`. Brackets: 95 % by bootstrap over seeds and rows "
        f"together; with one seed they are over rows alone. Held out: {study.near.concept} (near, with hate kept) and "
        f"{study.far.concept} (far) stand in no training label and no training policy."
    )


def _arms(found: Found, study: Study, metric: Metric) -> str:
    rows = [
        [f"`{arm}`", _seeds(found, (arm,), study), *_cells(partial(_value, found, arm, metric), "")] for arm in ARMS
    ]
    return _markdown(["arm", "seeds", *_HEADS.values()], rows)


def _differences(found: Found, study: Study, metric: Metric) -> str:
    rows = [
        [
            f"`{first}` - `{second}`",
            _seeds(found, (first, second), study),
            *_cells(partial(_difference, found, first, second, metric), "+"),
        ]
        for first, second in DIFFERENCES
    ]
    return _markdown(["difference", "seeds", *_HEADS.values()], rows)


def _value(found: Found, arm: Arm, metric: Metric, setting: Setting) -> Interval | None:
    return value(found, arm, setting, metric)


def _difference(found: Found, first: Arm, second: Arm, metric: Metric, setting: Setting) -> Interval | None:
    return difference(found, first, second, setting, metric)


def _seeds(found: Found, arms: Sequence[Arm], study: Study) -> str:
    done = sum(all((arm, seed) in found for arm in arms) for seed in study.seeds)
    return f"{done} of {len(study.seeds)}"


def _cells(cell: Cell, sign: str) -> Iterator[str]:
    return (shown(cell(setting), sign) for setting in SETTINGS)


def shown(found: Interval | None, sign: str = "") -> str:
    """Write a figure with its interval; ``sign`` is a format's sign (``+`` for differences)."""
    if found is None:
        return NOT_RUN
    return f"{found.value:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def fill(text: str, table: str) -> str:
    """Return a page with the table between its markers.

    Raises:
        TrainError: the page has no markers.

    """
    if not _MARKED.search(text):
        problem = f"the page has no place for the table; put {BEGIN} and {END} on lines of their own"
        raise TrainError(problem)
    return _MARKED.sub(lambda marks: f"{marks[1]}\n{table}\n\n{marks[2]}", text)


def fill_page(page: Path, results: Path = RESULTS_DIR) -> None:
    """Write the table of the committed results into a page.

    Raises:
        TrainError: the page has no markers, or a result cannot be used.

    """
    study = load_study()
    made = fill(page.read_text(encoding="utf-8"), render(read_all(results, study), study))
    page.write_text(made, encoding="utf-8")
