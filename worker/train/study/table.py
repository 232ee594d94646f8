"""The result table as Markdown, between marks of a page. Pure but for reading results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from worker.marked import insert
from worker.train.evaluation.bootstrap import Interval
from worker.train.study.plan import ARMS, DIFFERENCES, RESULTS_DIR, SETTINGS, Arm, Setting, Study, load_study
from worker.train.study.results import (
    Found,
    Metric,
    always_safe,
    difference,
    read_all,
    share_said,
    updates,
    value,
)

NOT_RUN: Final = "not run yet"
_SAFE: Final = "always safe"
_METRICS: Final[dict[Metric, str]] = {"macro_f1": "Macro-F1", "average_precision": "Average precision"}
#: What each setting asks, for the table's heads.
_HEADS: Final[dict[Setting, str]] = {
    "in_domain": "in domain",
    "near": "near, held out",
    "far": "far, held out",
    "reworded": "held-out words",
    "swapped": "held-out words, swapped",
}
Cell = Callable[[Setting], Interval | None]


def render(found: Found, study: Study) -> str:
    """Write every arm and difference; what was not run says so, and chance results stay."""
    parts = [
        _about(found, study),
        _reading(study),
        "What each arm was and said, over all settings:",
        _said(found, study),
    ]
    for metric, title in _METRICS.items():
        parts += [f"{title}, mean over seeds and sets:", _arms(found, study, metric)]
        parts += [f"{title}, paired difference:", _differences(found, study, metric)]
    return "\n\n".join(parts)


def summary(found: Found, study: Study) -> str:
    """Write macro-F1 and its differences alone."""
    parts = [_count(found, study) + ".", _arms(found, study, "macro_f1"), _differences(found, study, "macro_f1")]
    return "\n\n".join(parts)


def _count(found: Found, study: Study) -> str:
    dates = sorted({one.date for one in found.values()})
    when = f"measured {' to '.join(sorted({dates[0], dates[-1]}))}" if dates else NOT_RUN
    models = f"{len(found)} of {len(ARMS) * len(study.seeds)} models"
    rows = {len(one.columns.unsafe) for one in found.values()}
    asked = f", {max(rows):,} questions each" if rows else ""
    parameters = {one.parameters for one in found.values()}
    size = f" of {max(parameters) / 1e6:.2f} million parameters" if parameters else ""
    return f"{models}{size}{asked}; {when}"


def _about(found: Found, study: Study) -> str:
    code = "".join(f", code `{one}`" for one in sorted({one.code for one in found.values()}))
    return (
        f"{_count(found, study)}; settings `{study.digest}`{code}. Held out: {study.near.concept} (near) and "
        f"{study.far.concept} (far) stand in no training label and no training policy. Hate is kept: its definitions "
        "may still list sex or gender among other attributes, and attacks on women as a group train as hate. "
        "Held-out words: policies in words that no training policy has; swapped: the same rows and words, but what "
        "violates and what is allowed changed places."
    )


def _reading(study: Study) -> str:
    return (
        "Brackets: 95 % by bootstrap over seeds and rows together; with one seed they are over rows alone. They draw "
        f"{len(study.seeds)} seeds with replacement, and so understate the spread between seeds. An answer that the "
        "parser cannot read counts as wrong. Average precision ranks by the log odds of unsafe against safe: of arms "
        f"that reason after their own reasoning, of the others at once. The row `{_SAFE}` says safe to every "
        "question and ranks none above another."
    )


def _said(found: Found, study: Study) -> str:
    """Show an arm that says nothing but safe, or nothing readable, as what it is."""
    rows = [
        [
            f"`{arm}`",
            _seeds(found, (arm,), study),
            _number(updates(found, arm), ".0f"),
            *(_number(share_said(found, arm, said), ".3f") for said in (1, -1)),
        ]
        for arm in ARMS
    ]
    truth = [np.mean(one.columns.unsafe) for one in found.values()][:1]
    right = ["right answers", "", "", _number(float(truth[0]) if truth else None, ".3f"), ""]
    return _markdown(["arm", "seeds", "updates", "said unsafe", "unreadable"], [*rows, right])


def _number(found: float | None, form: str) -> str:
    return NOT_RUN if found is None else f"{found:{form}}"


def _arms(found: Found, study: Study, metric: Metric) -> str:
    rows = [
        [f"`{arm}`", _seeds(found, (arm,), study), *_cells(partial(_value, found, arm, metric), "")] for arm in ARMS
    ]
    constant = [f"`{_SAFE}`", "", *_cells(partial(_safe_value, found, metric), "")]
    return _markdown(["arm", "seeds", *_HEADS.values()], [*rows, constant])


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


def _safe_value(found: Found, metric: Metric, setting: Setting) -> Interval | None:
    """Return the figure of one who always says safe; all results ask alike, so any of them tells it."""
    constant = {key: always_safe(one) for key, one in sorted(found.items())[:1]}
    return value(constant, next(iter(constant))[0], setting, metric) if constant else None


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


#: What a page may have, by its mark.
_TABLES: Final = {"study": render, "study-summary": summary}


def fill(page: str, found: Found, study: Study) -> str:
    """Return a page with the tables that it has marks for.

    Raises:
        UsageError: it has none.

    """
    marks = [mark for mark in _TABLES if f"<!-- {mark} -->" in page] or ["study"]
    for mark in marks:
        page = insert(page, f"\n{_TABLES[mark](found, study)}\n\n", mark)
    return page


def fill_page(page: Path, results: Path = RESULTS_DIR) -> None:
    """Write the tables of the committed results into a page.

    Raises:
        TrainError: a result cannot be used.
        UsageError: the page has no marks.

    """
    study = load_study()
    made = fill(page.read_text(encoding="utf-8"), read_all(results, study), study)
    page.write_text(made, encoding="utf-8")
