"""What one trained model answered, in columns, and figures over several seeds. Pure but for the files.

Intervals: seeds and groups of rows are drawn with replacement together (a crossed bootstrap: every seed answers
the same rows, so one draw of rows serves all seeds of a resample). A figure is the mean over the drawn seeds of
the mean over sets and concepts. The interval of a difference has the same draws on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from msgspec import Struct

from worker.errors import TrainError
from worker.train.evaluation import bootstrap
from worker.train.evaluation.bootstrap import LEVEL, Figure, Interval, Weights
from worker.train.evaluation.metrics import Floats
from worker.train.study.files import write_whole
from worker.train.study.plan import ARMS, Arm, Setting, Study

Metric = Literal["macro_f1", "average_precision"]
REPEATS: Final = 1000
_SEED: Final = 1

Found = Mapping[tuple[Arm, int], "Result"]


class Columns(Struct, frozen=True, kw_only=True):
    """One entry for each question; the questions and their order are the same in every result of a study.

    Attributes:
        setting, name: index into ``settings`` and ``names`` of the result.
        group: eight hexadecimal digits; questions of one group are drawn together.
        unsafe: the label that is right, 0 or 1.
        log_odds: of unsafe against safe, after the model's own reasoning or at once; P(unsafe) would be 0 or 1.
        said: 1 unsafe, 0 safe, -1 an answer that the parser that serves could not read.

    """

    setting: tuple[int, ...]
    name: tuple[int, ...]
    group: tuple[str, ...]
    unsafe: tuple[int, ...]
    log_odds: tuple[float, ...]
    said: tuple[int, ...]


class Result(Struct, frozen=True, kw_only=True):
    """One arm and seed.

    Attributes:
        arm, seed: which.
        study: digest of the settings; ``code``: of what trained and asked (``made_by``).
        date: UTC day of the measurement.
        parameters: of the network.
        steps: updates since the warm-up's end, those of the early state included.
        settings, names: what the columns' numbers stand for.
        columns: the answers.

    """

    arm: Arm
    seed: int
    study: str
    code: str
    date: str
    parameters: int
    steps: int
    settings: tuple[Setting, ...]
    names: tuple[str, ...]
    columns: Columns


def file_of(folder: Path, arm: Arm, seed: int) -> Path:
    """Return the file of one result."""
    return folder / f"{arm}-{seed}.json"


def write(folder: Path, result: Result) -> None:
    """Write one result, whole: a folder may be read while a neighbour writes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(file_of(folder, result.arm, result.seed), msgspec.json.encode(result) + b"\n")


def read_all(folder: Path, study: Study) -> dict[tuple[Arm, int], Result]:
    """Read what there is, for the study's arms and seeds; the code of today need not be theirs.

    Raises:
        TrainError: a file is not a result, is of other settings, or was run by other code or answers other
            questions than the rest.

    """
    found: dict[tuple[Arm, int], Result] = {}
    for arm in ARMS:
        for seed in study.seeds:
            path = file_of(folder, arm, seed)
            if path.is_file():
                found[arm, seed] = read(path, study)
    if len(codes := sorted({one.code for one in found.values()})) > 1:
        text = (
            f"the results in {folder.name} were run by different code ({', '.join(codes)}); run all arms again by one"
        )
        raise TrainError(text)
    asked = {(one.columns.setting, one.columns.name, one.columns.group, one.columns.unsafe) for one in found.values()}
    if len(asked) > 1:
        text = f"the results in {folder.name} answer different questions; run the arms again on one data folder"
        raise TrainError(text)
    return found


def read(path: Path, study: Study) -> Result:
    """Read one result.

    Raises:
        TrainError: the file is not a result, or is of other settings.

    """
    try:
        result = msgspec.json.decode(path.read_bytes(), type=Result)
    except msgspec.DecodeError as error:
        text = f"{path.name} is not a result of the study: {error}; delete it and run the arm again"
        raise TrainError(text) from None
    if result.study != study.digest:
        text = f"{path.name} is of other settings than study.toml; delete it and run the arm again"
        raise TrainError(text)
    return result


def figure(result: Result, setting: Setting, metric: Metric) -> Figure:
    """Return the mean over sets and concepts of a metric, for weights over the setting's rows.

    A set and concept without an unsafe row in a resample is left out of that resample's average precision.
    """
    places = rows_of(result, setting)
    names = np.asarray(result.columns.name)[places]
    parts = [(names == name, _part(result, places[names == name], metric)) for name in np.unique(names)]

    def whole(weights: Weights) -> Floats:
        found = np.stack([one(weights[:, mask]) for mask, one in parts])
        there = ~np.isnan(found)
        return bootstrap.ratio(np.where(there, found, 0.0).sum(0), there.sum(0).astype(float))

    return whole


def _part(result: Result, places: np.ndarray, metric: Metric) -> Figure:
    columns = result.columns
    truth = np.asarray(columns.unsafe, bool)[places]
    if metric == "average_precision":
        return bootstrap.average_precision(truth, np.asarray(columns.log_odds, float)[places])
    said = np.asarray(columns.said)[places]
    return bootstrap.macro_f1(truth, np.where(said < 0, ~truth, said == 1))


def rows_of(result: Result, setting: Setting) -> np.ndarray:
    """Return the places of a setting's questions."""
    number = result.settings.index(setting) if setting in result.settings else -1
    return np.flatnonzero(np.asarray(result.columns.setting) == number)


def always_safe(result: Result) -> Result:
    """Return the answers of one who says safe to every question and ranks none above another."""
    count = len(result.columns.said)
    columns = msgspec.structs.replace(result.columns, said=(0,) * count, log_odds=(0.0,) * count)
    return msgspec.structs.replace(result, columns=columns)


def share_said(found: Found, arm: Arm, said: int) -> float | None:
    """Return which share of all questions an arm answered so (as in ``Columns.said``), mean over its seeds."""
    return _mean([float(np.mean(np.asarray(one.columns.said) == said)) for one in _of(found, arm)])


def updates(found: Found, arm: Arm) -> float | None:
    """Return an arm's updates since the warm-up, mean over its seeds."""
    return _mean([one.steps for one in _of(found, arm)])


def _of(found: Found, arm: Arm) -> list[Result]:
    return [one for (name, _), one in sorted(found.items()) if name == arm]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def value(found: Found, arm: Arm, setting: Setting, metric: Metric) -> Interval | None:
    """Return an arm's figure over its seeds; None where no seed has been run or the setting has no rows."""
    return _over_seeds([(one, None) for one in _of(found, arm)], setting, metric)


def difference(found: Found, first: Arm, second: Arm, setting: Setting, metric: Metric) -> Interval | None:
    """Return first minus second over the seeds that both have; None where there is none."""
    seeds = sorted(seed for arm, seed in found if arm == first and (second, seed) in found)
    return _over_seeds([(found[first, seed], found[second, seed]) for seed in seeds], setting, metric)


def _over_seeds(results: Sequence[tuple[Result, Result | None]], setting: Setting, metric: Metric) -> Interval | None:
    if not results or not len(rows_of(results[0][0], setting)):
        return None
    figures = [
        bootstrap.difference(figure(one, setting, metric), figure(other, setting, metric))
        if other
        else figure(one, setting, metric)
        for one, other in results
    ]
    groups = np.asarray(results[0][0].columns.group)[rows_of(results[0][0], setting)]
    return crossed(figures, groups.tolist(), seed=_SEED)


def crossed(figures: Sequence[Figure], groups: Sequence[str], *, seed: int, repeats: int = REPEATS) -> Interval:
    """Draw seeds and groups of rows together.

    Args:
        figures: one for each seed, over the same rows.
        groups: of each row.
        seed: equal seeds draw alike.
        repeats: how many resamples.

    Raises:
        ValueError: there is no figure or no row.

    """
    if not figures or not groups:
        text = "an interval needs at least one seed and one row"
        raise ValueError(text)
    rng = np.random.default_rng(seed)
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    drawn = rng.multinomial(names.size, np.full(names.size, 1 / names.size), size=repeats)[:, places].astype(float)
    often = rng.multinomial(len(figures), np.full(len(figures), 1 / len(figures)), size=repeats)
    each = np.stack([one(drawn) for one in figures], 1)
    # A resample without an unsafe row has no average precision, for any seed.
    means = np.where(often > 0, each * often, 0.0).sum(1) / len(figures)
    point = float(np.mean([one(np.ones((1, len(groups))))[0] for one in figures]))
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return Interval(value=point, low=float(low), high=float(high))
