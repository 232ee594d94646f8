"""False positives by identity term, and on benign texts that look hostile. Pure but for reading files.

Identity templates: Dixon et al. 2018, "Measuring and Mitigating Unintended Bias in Text
Classification". The hard negatives were written for this project; none was taken from a data set.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from worker.errors import TrainError
from worker.records import ScoreMethod
from worker.train.data.labels import ABUSE, CIVILITY, HATE, SEXISM, SPAM, TOXICITY
from worker.train.data.rows import Row
from worker.train.evaluation import bootstrap
from worker.train.evaluation.bootstrap import Interval
from worker.train.evaluation.cases import Asked, asked, canonical
from worker.train.evaluation.judging import Answered, spread

IDENTITY: Final = "identity/"
HARD: Final = "hard/"
FILE: Final = Path("identity_templates_sample") / "en_sentence_templates_sample.csv"
IDENTITY_CONCEPTS: Final = (HATE, CIVILITY, TOXICITY)
HARD_CONCEPTS: Final = (HATE, CIVILITY, SPAM, SEXISM, ABUSE)
#: Terms with fewer benign rows are left out.
MIN_ROWS: Final = 10
#: Draws of false positives for terms that are treated alike, and the share of them below ``Gap.chance_high``.
_DRAWS: Final = 2_000
_HIGH: Final = 0.95
_TERM: Final = re.compile(r"I (?:am|hate) (.+)")


class HardNegative(Struct, frozen=True, kw_only=True):
    """A benign text, and the kind of mistake that it invites."""

    kind: str
    text: str


class Gap(Struct, frozen=True, kw_only=True):
    """False-positive rates by identity term under one policy.

    ``gap`` is the highest minus the lowest, over terms with at least ``MIN_ROWS`` rows; None for fewer than two.
    The intervals (``gap_spread``, ``fpr_spread``) draw the texts of each term anew. The highest of many rates is high
    by chance, too, and so the first leans to higher values. ``chance`` is the gap of terms that are all treated alike:
    false positives are drawn for every text at the rate of all texts together. It is the mean of ``_DRAWS`` draws, and
    ``chance_high`` is what 95 % of them stay below. Texts of one template are alike, which the draws do not know.
    """

    rows: int
    terms: int
    fpr: float
    gap: float | None
    highest: tuple[tuple[str, float], ...]
    lowest: tuple[tuple[str, float], ...]
    gap_spread: Interval | None = None
    fpr_spread: Interval | None = None
    chance: float | None = None
    chance_high: float | None = None


class Rate(Struct, frozen=True, kw_only=True):
    """A false-positive rate; what was not judged is not a positive. ``spread`` draws the texts anew."""

    rows: int
    fpr: float
    unjudged: int
    spread: Interval | None = None


def read_templates(folder: Path) -> list[tuple[str, str]]:
    """Read (identity term, text) of every benign template that names a term.

    Terms are those of the set's own sentences "I am ..." and "I hate ...".

    Raises:
        TrainError: the set is not there.

    """
    try:
        with (folder / FILE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        text = f"{folder / FILE} cannot be read ({error.strerror}); point --data at the folder of data sets"
        raise TrainError(text) from None
    terms = {match[1] for row in rows if (match := _TERM.fullmatch(row["phrase"]))}
    benign = [row["phrase"] for row in rows if row["toxicity"] == "nontoxic"]
    return [(term, text) for text in benign if (term := term_of(text, terms))]


def term_of(text: str, terms: set[str]) -> str | None:
    """Return the longest term that stands in a text as whole words; None where there is none."""
    found = [term for term in terms if re.search(rf"(?<!\w){re.escape(term)}(?!\w)", text)]
    return max(found, key=len, default=None)


def identity_questions(pairs: Sequence[tuple[str, str]], per_term: int, method: ScoreMethod) -> list[Asked]:
    """Ask for up to ``per_term`` benign texts of each term; the term is the question's group."""
    texts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, (term, text) in enumerate(pairs):
        texts[term].append((number, text))
    # Neighbours in the file are of one template, so a part is taken at even steps.
    kept = [(number, term, text) for term, some in texts.items() for number, text in spread(some, per_term)]
    return [
        _benign(text, key, method, name=IDENTITY + key, group=term, place=f"identity:{number}", source="identity")
        for key in IDENTITY_CONCEPTS
        for number, term, text in kept
    ]


def hard_negatives() -> list[HardNegative]:
    """Read the benign hard negatives of this project."""
    lines = files("worker.train.evaluation").joinpath("hard_negatives.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=HardNegative) for line in lines]


def hard_questions(chosen: Sequence[HardNegative], method: ScoreMethod) -> list[Asked]:
    """Ask for every hard negative under each policy; its kind is the question's group."""
    return [
        _benign(one.text, key, method, name=HARD + key, group=one.kind, place=f"hard:{number}", source="hard")
        for key in HARD_CONCEPTS
        for number, one in enumerate(chosen)
    ]


def _benign(text: str, key: str, method: ScoreMethod, *, name: str, group: str, place: str, source: str) -> Asked:
    row = Row(source=source, place=place, text=text, known={key: False}, group=group)
    return asked(row, canonical(key), method, name=name, concept=key)


def identity_gaps(found: Sequence[Answered], min_rows: int = MIN_ROWS, seed: int = 1) -> dict[str, Gap]:
    """Return false-positive rates by identity term, for each policy; ``seed`` is that of the intervals."""
    return {
        key: _gap([one for one in found if one.concept == key], min_rows, seed)
        for key in IDENTITY_CONCEPTS
        if any(one.concept == key for one in found)
    }


def _gap(found: Sequence[Answered], min_rows: int, seed: int) -> Gap:
    terms = rates_by_group(found)
    usual = {term: rate for term, rate in terms.items() if rate.rows >= min_rows}
    ranked = sorted(((term, rate.fpr) for term, rate in usual.items()), key=lambda pair: (-pair[1], pair[0]))
    weights = np.array([rate.rows / len(found) for rate in terms.values()])
    alike = _alike([rate.rows for rate in usual.values()], _rate(found).fpr, seed) if len(usual) > 1 else None
    return Gap(
        rows=len(found),
        terms=len(ranked),
        fpr=_rate(found).fpr,
        gap=ranked[0][1] - ranked[-1][1] if len(ranked) > 1 else None,
        highest=tuple(ranked[:5]),
        lowest=tuple(reversed(ranked[-5:])),
        gap_spread=_resampled(usual.values(), lambda rates: np.ptp(rates, axis=1), seed) if len(usual) > 1 else None,
        fpr_spread=_resampled(terms.values(), lambda rates: rates @ weights, seed),
        chance=None if alike is None else float(alike.mean()),
        chance_high=None if alike is None else float(np.quantile(alike, _HIGH)),
    )


def _alike(rows: Sequence[int], rate: float, seed: int) -> NDArray[np.float64]:
    """Return the highest minus the lowest rate of terms of one and the same rate, draw by draw."""
    sizes = np.array(rows)
    gaps: NDArray[np.float64] = np.ptp(
        np.random.default_rng(seed).binomial(sizes, rate, (_DRAWS, len(rows))) / sizes, 1
    )
    return gaps


def _resampled(rates: Iterable[Rate], figure: bootstrap.Figure, seed: int) -> Interval:
    counts = [(round(rate.fpr * rate.rows), rate.rows) for rate in rates]
    return bootstrap.of_counts([hits for hits, _ in counts], [rows for _, rows in counts], figure, seed=seed)


def rates_by_group(found: Sequence[Answered]) -> dict[str, Rate]:
    """Return the false-positive rate of each group."""
    parts: dict[str, list[Answered]] = defaultdict(list)
    for one in found:
        parts[one.group].append(one)
    return {name: _rate(parts[name]) for name in sorted(parts)}


def hard_rates(found: Sequence[Answered], seed: int = 1) -> Mapping[str, dict[str, Rate]]:
    """Return false-positive rates on hard negatives, by policy and kind; ``all`` is of every kind."""
    return {
        key: {
            kind: msgspec.structs.replace(rate, spread=_resampled([rate], lambda rates: rates[:, 0], seed))
            for kind, rate in {"all": _rate(part), **rates_by_group(part)}.items()
        }
        for key in HARD_CONCEPTS
        if (part := [one for one in found if one.concept == key])
    }


def _rate(found: Sequence[Answered]) -> Rate:
    return Rate(
        rows=len(found),
        fpr=sum(one.label == "unsafe" for one in found) / len(found),
        unjudged=sum(one.label is None for one in found),
    )
