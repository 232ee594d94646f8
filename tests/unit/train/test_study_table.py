"""The study's figures: intervals over seeds and rows, results that fit together, and the table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from tests.support.study_rows import CODE, made_result, page_with_markers, tiny_study
from worker.errors import TrainError, UsageError
from worker.train.evaluation import bootstrap
from worker.train.study import plan, results, table
from worker.train.study.plan import ARMS, SETTINGS, Arm, load_study
from worker.train.study.results import Found, Result

ROOT: Final = Path(__file__).resolve().parents[3]
STUDY: Final = tiny_study()


def test_crossed_intervals_hold_both_spreads() -> None:
    """Seeds that differ widen the interval beyond that of the rows; seeds that agree do not."""
    groups = [f"g{number}" for number in range(400)]
    same = [bootstrap.share([number % 2 == 0 for number in range(400)])] * 3
    apart = [bootstrap.share([number % 10 < cut for number in range(400)]) for cut in (2, 5, 8)]
    one, other = results.crossed(same, groups, seed=1), results.crossed(apart, groups, seed=1)

    assert 0.5 == one.value == pytest.approx(other.value)
    assert 0.04 < one.high - one.value < 0.06
    assert other.high - other.low > 4 * (one.high - one.low)
    with pytest.raises(ValueError, match="at least one"):
        results.crossed([], groups, seed=1)


def test_rows_of_a_group_are_drawn_together() -> None:
    """Ten copies of every row, in its group, give the interval of the rows alone."""
    figure = [number % 2 == 0 for number in range(100)]
    alone = results.crossed([bootstrap.share(figure)], [str(one) for one in range(100)], seed=3)
    copies = [number // 10 % 2 == 0 for number in range(1000)]
    tied = results.crossed([bootstrap.share(copies)], [str(one // 10) for one in range(1000)], seed=3)

    assert 0.8 < (tied.high - tied.low) / (alone.high - alone.low) < 1.25


def test_differences_are_paired() -> None:
    """Equal answers differ by exactly nothing; better ones by a lower bound above nothing; missing ones by None."""
    found: dict[tuple[Arm, int], Result] = {
        ("label", seed): made_result("label", seed, STUDY, rate=0.7) for seed in (1, 2)
    }
    found |= {("reasoning", seed): made_result("reasoning", seed, STUDY, rate=0.7) for seed in (1, 2)}
    found |= {("rl_label", 1): made_result("rl_label", 1, STUDY, rate=0.95)}

    same = results.difference(found, "reasoning", "label", "near", "macro_f1")
    better = results.difference(found, "rl_label", "label", "far", "macro_f1")
    assert same == bootstrap.Interval(value=0, low=0, high=0)
    assert better is not None
    assert 0 < better.low < better.value < better.high
    assert results.difference(found, "rl_reasoning", "label", "far", "macro_f1") is None
    assert results.value(found, "sft_continued", "far", "macro_f1") is None


def test_unreadable_answers_are_wrong_and_figures_are_means_over_sets() -> None:
    """A model that writes nothing readable has no F1; a set counts as much as a larger one."""
    made = made_result("label", 1, STUDY, rate=1.0)
    mute = msgspec.structs.replace(made.columns, said=(-1,) * len(made.columns.said))
    nothing = results.value({("label", 1): msgspec.structs.replace(made, columns=mute)}, "label", "far", "macro_f1")
    assert nothing is not None
    assert 0 == nothing.value

    first = [place for place, setting in enumerate(made.columns.setting) if setting == 0]
    said = [1 - one if place in first[:8] else one for place, one in enumerate(made.columns.said)]
    names = [9 if place in first[:8] else name for place, name in enumerate(made.columns.name)]
    columns = msgspec.structs.replace(made.columns, said=tuple(said), name=tuple(names))
    halves = msgspec.structs.replace(made, names=(*made.names, *"012345"), columns=columns)
    figure = results.figure(halves, "in_domain", "macro_f1")

    assert 0.5 == figure(np.ones((1, len(first))))[0]


def test_always_safe_is_measured_like_an_arm() -> None:
    """Half of the made-up questions are unsafe: F1 of safe is 2/3, of unsafe nothing, and nothing is ranked."""
    constant: Found = {("label", 1): results.always_safe(made_result("label", 1, STUDY, rate=0.9))}
    f1 = results.value(constant, "label", "near", "macro_f1")
    ranked = results.value(constant, "label", "near", "average_precision")

    assert f1 is not None
    assert ranked is not None
    assert 1 / 3 == pytest.approx(f1.value)
    assert 0.5 == pytest.approx(ranked.value)
    assert 0 == results.share_said(constant, "label", 1)


def test_a_collapsed_arm_is_seen() -> None:
    """An arm that says safe to everything has the figures of that row, and no question answered unsafe."""
    study = load_study()
    silent = results.always_safe(made_result("rl_reasoning", 1, study, rate=0.9))
    mixed = made_result("label", 2, study, rate=0.9)
    mute = msgspec.structs.replace(mixed.columns, said=(-1,) * 40 + mixed.columns.said[40:])
    found: Found = {("rl_reasoning", 1): silent, ("label", 2): msgspec.structs.replace(mixed, columns=mute)}
    lines = table.render(found, study).splitlines()

    assert "| `rl_reasoning` | 1 of 3 | 10 | 0.000 | 0.000 |" in lines
    assert re.search(r"\| `label` \| 1 of 3 \| 20 \| 0\.4\d\d \| 0\.100 \|", "\n".join(lines))
    assert "| right answers |  |  | 0.500 |  |" in lines
    starts = ("| `rl_reasoning` | 1 of 3 | 0", "| `always safe`")
    points = [re.findall(r"(\S+) \[", line) for line in lines if line.startswith(starts)]
    assert 4 == len(points)
    assert [points[0], points[2]] == [points[1], points[3]]


def test_an_empty_table_says_so() -> None:
    """Without results no figure stands in any cell."""
    text = table.render({}, load_study())

    assert "0 of 21 models; not run yet" in text
    cells = 2 * len(SETTINGS) * (len(ARMS) + 1 + len(plan.DIFFERENCES)) + 3 * len(ARMS) + 1
    assert text.count(table.NOT_RUN) == 1 + cells
    assert "0." not in text.replace("0 of", "")


def test_a_table_has_every_arm_and_bad_results_too(tmp_path: Path) -> None:
    """What was run has its interval, what was not says so, and worse is shown as worse."""
    study = load_study()
    rates: dict[Arm, float] = {"label": 0.9, "reasoning": 0.6}
    for arm, rate in rates.items():
        for seed in study.seeds[:2]:
            results.write(tmp_path, made_result(arm, seed, study, rate=rate))
    page = page_with_markers(tmp_path / "page.md")
    table.fill_page(page, tmp_path)
    text = page.read_text(encoding="utf-8")

    # In the table for both measures; in the summary for one.
    lines = [one for one in text.splitlines() if one.startswith("| `reasoning` - `label` |")]
    assert [lines[0], lines[0]] == [lines[2], next(one for one in lines if "| -0." in one)]
    assert 3 == len(lines) == sum("2 of 3" in line for line in lines)
    assert len(SETTINGS) == lines[0].count("| -0.")
    assert "| `rl_label` | 0 of 3 | not run yet |" in text
    assert 2 == text.count("4 of 21 models of 3.40 million parameters, 400 questions each; measured 2000-01-02")
    assert f"code `{CODE}`" in text
    assert text.endswith("\nAfter.\n")
    assert "old" not in text
    table.fill_page(page, tmp_path)
    assert page.read_text(encoding="utf-8") == text


def test_a_page_needs_markers() -> None:
    """A page without a place for the table is refused with the cure."""
    with pytest.raises(UsageError, match="<!-- study -->"):
        table.fill("# no place\n", {}, STUDY)


def test_results_are_small_and_hold_no_text(tmp_path: Path) -> None:
    """A result of 2,000 questions has at most 200 kB, and comes back as it was."""
    short = made_result("label", 1, STUDY, rate=0.7, rows=400)
    odds = tuple(round(one / 7 - 90, 4) for one in range(2000))
    made = msgspec.structs.replace(short, columns=msgspec.structs.replace(short.columns, log_odds=odds))
    results.write(tmp_path, made)

    assert [results.file_of(tmp_path, "label", 1)] == list(tmp_path.iterdir())
    assert results.file_of(tmp_path, "label", 1).stat().st_size <= 200_000
    assert {("label", 1): made} == results.read_all(tmp_path, STUDY)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"study": "0"}, "other settings"),
        ({"columns": None}, "not a result"),
        ({"code": "0"}, "run by different code"),
        ({"rows": 10}, "different questions"),
    ],
)
def test_results_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Another study's, a broken file, one by other code, and one with other questions: each names its cure."""
    rows_asked = change.pop("rows", 80)
    results.write(tmp_path, made_result("label", 1, STUDY, rate=0.7))
    other = made_result("reasoning", 1, STUDY, rate=0.7, rows=rows_asked)
    results.write(tmp_path, msgspec.structs.replace(other, **change))

    with pytest.raises(TrainError, match=message):
        results.read_all(tmp_path, STUDY)


@pytest.mark.parametrize("page", ["README.md", "worker/train/README.md"])
def test_the_committed_table_is_fresh(page: str) -> None:
    """Both pages have the tables of the committed results; ``train study --table`` writes them again."""
    text, study = (ROOT / page).read_text(encoding="utf-8"), load_study()

    assert table.fill(text, results.read_all(plan.RESULTS_DIR, study), study) == text
