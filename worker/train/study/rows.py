"""The study's rows: what trains, with two concepts taken out, and what is asked in the end. Pure but for the file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.judge.prompt import policy_text
from worker.policy.model import Panel
from worker.train.data.linear import fit_all
from worker.train.data.load import split_rows
from worker.train.data.rows import Row
from worker.train.data.widen import widen
from worker.train.evaluation.cases import canonical
from worker.train.examples.fit import MAX_CHARS
from worker.train.examples.format import OWN, epoch_groups, policy_for, prepare
from worker.train.examples.sample import Sample
from worker.train.policies.draw import balanced_sets
from worker.train.policies.following import pairs
from worker.train.policies.wording import Wording
from worker.train.policies.wordings import TRAINING
from worker.train.study.files import write_whole
from worker.train.study.made_by import code_digest
from worker.train.study.plan import Setting, Study

FILE_NAME: Final = "rows.json"
#: So often a policy is drawn again that has too many tokens, or words of what is held out.
_TRIES: Final = 200
_SWAPPED: Final = "violates_allowed_swapped"
Accepts = Callable[[Panel], bool]


class Prepared(Struct, frozen=True, kw_only=True):
    """Rows that are ready.

    Attributes:
        digest: of the settings that they were made for; ``code``: of what made them, and all runs beside them.
        train: without any label that is held out.
        dev: the same, with the labels that were given alone; reinforced arms answer some of them as they train.
        test: with all of their labels.
        sets: what a policy may be drawn from (``balanced_sets``), by all rows that could train: the chosen ones are
            too few to tell.

    """

    digest: str
    code: str
    train: tuple[Sample, ...]
    dev: tuple[Sample, ...]
    test: tuple[Row, ...]
    sets: frozenset[frozenset[str]]

    @property
    def known(self) -> frozenset[str]:
        """The label keys that train."""
        return frozenset(key for sample in self.train for key in sample.row.known)


class _Made(Struct, frozen=True, kw_only=True):
    """What tells whether a folder can be used; folders of before had no ``code``."""

    digest: str
    code: str = ""


class Question(Struct, frozen=True, kw_only=True):
    """A row under a policy.

    Attributes:
        setting: where it counts.
        name: of the set and concept that a figure is computed for.
        row: what is judged.
        wording: the policy.
        unsafe: the label that is right.

    """

    setting: Setting
    name: str
    row: Row
    wording: Wording
    unsafe: bool


def without_held_out(rows: Sequence[Row], study: Study) -> list[Row]:
    """Take every held-out label away, and every row of a set that was labelled for nothing else."""
    kept = [row for row in rows if not all(map(study.held_out, OWN[row.source]))]
    bare = [
        msgspec.structs.replace(row, known={key: one for key, one in row.known.items() if not study.held_out(key)})
        for row in kept
    ]
    return [row for row in bare if row.known]


def make_prepared(rows: Sequence[Row], study: Study) -> Prepared:
    """Choose training rows, find their quotes, and keep the test rows.

    The held-out labels go before any linear model is fitted, so that no other label is widened by them, and once
    more after widening: what is not abusive is not sexist abuse either, and widening says so.

    Raises:
        TrainError: the rows are too few for the linear models, or no concept has both labels.

    """
    parts = split_rows(rows)
    clean = without_held_out(parts["train"], study)
    models = fit_all(clean)
    wide = without_held_out(widen(_short(clean), models), study)
    sets = balanced_sets(wide, study.min_rows)
    usable = _asked(wide, sets)
    if not usable:
        text = "no concept has both safe and unsafe training rows; take more rows"
        raise TrainError(text)
    chosen = random.Random(study.rows_seed).sample(usable, min(study.rows, len(usable)))
    return Prepared(
        digest=study.digest,
        code=code_digest(),
        train=tuple(prepare(chosen, models)),
        dev=tuple(Sample(row=row, quotes={}) for row in _asked(_short(without_held_out(parts["dev"], study)), sets)),
        test=tuple(parts["test"]),
        sets=sets,
    )


def _short(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if len(row.text) <= MAX_CHARS]


def _asked(rows: Sequence[Row], sets: frozenset[frozenset[str]]) -> list[Row]:
    """Return the rows of which a policy can ask what their set was labelled for."""
    return [row for row in rows if any({key} in sets for key in OWN[row.source] if key in row.known)]


def save(prepared: Prepared, folder: Path) -> None:
    """Keep prepared rows in a run's folder; they hold texts of the data sets and are never committed."""
    write_whole(folder / FILE_NAME, msgspec.json.encode(prepared))


def load(folder: Path, study: Study) -> Prepared | None:
    """Read prepared rows; None where there are none yet.

    Raises:
        TrainError: they were made for other settings, or by other code.

    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    made = path.read_bytes()
    found = msgspec.json.decode(made, type=_Made)
    if found.digest != study.digest:
        text = f"{folder} holds a study with other settings; name another folder with --out"
        raise TrainError(text)
    if found.code != code_digest():
        text = (
            f"{folder} was begun by other code, whose models would stand beside new ones; "
            "name another folder with --out, or check out the commit that it was begun with"
        )
        raise TrainError(text)
    return msgspec.json.decode(made, type=Prepared)


def names_held_out(panel: Panel, study: Study) -> bool:
    """Whether a policy says a held-out concept: by a sign, or in the words that a wording of it has alone."""
    text = policy_text(panel).lower()
    if any(sign in text for sign in study.signs):
        return True
    names, phrases = _words(study)
    return any(one.name in names for one in panel.categories) or any(phrase in text for phrase in phrases)


@lru_cache(maxsize=4)
def _words(study: Study) -> tuple[frozenset[str], frozenset[str]]:
    """Return names, and phrases in lower case, that only held-out concepts have."""
    mine = [words for key, words in TRAINING.words.items() if study.held_out(key)]
    others = [words for key, words in TRAINING.words.items() if not study.held_out(key)]
    names = {name for words in mine for name in words.names} - {name for words in others for name in words.names}
    phrases = {one.rstrip(".").lower() for words in mine for one in (*words.definitions, *words.opposites)}
    return frozenset(names), frozenset(phrases)


def acceptor(study: Study, policy_tokens: Callable[[Panel], int]) -> Accepts:
    """Return what tells whether a policy may train.

    Args:
        study: its limits.
        policy_tokens: counts the tokens of a policy.

    """

    def accepts(panel: Panel) -> bool:
        fits = len(panel.categories) <= study.max_categories and policy_tokens(panel) <= study.max_policy_tokens
        return fits and not names_held_out(panel, study)

    return accepts


def drawn_groups(
    samples: Sequence[Sample], sets: frozenset[frozenset[str]], accepts: Accepts, rng: random.Random
) -> Iterator[tuple[list[Sample], Wording]]:
    """Yield one epoch of groups, each with a policy that may train.

    Raises:
        TrainError: no such policy can be drawn for a group.

    """
    for group in epoch_groups(samples, rng):
        tries = (policy_for(rng, group, sets) for _ in range(_TRIES))
        wording = next((one for one in tries if accepts(one.panel)), None)
        if wording is None:
            text = f"no policy for rows of {group[0].row.source} fits max_policy_tokens; raise it in study.toml"
            raise TrainError(text)
        yield group, wording


def questions(rows: Sequence[Row], study: Study) -> list[Question]:
    """Return what every model is asked, the same for all arms and seeds, in a fixed order.

    In domain: each row of a set under each concept of its set that trains. Near and far: each row of the sets
    labelled for the held-out concept, under that concept alone. Reworded: rows under a policy in held-out words.
    Swapped: the same rows and words, but the violating and allowed clauses changed places; the right label is that
    of the changed policy. Without the first, a fall in the second could be the words' alone.
    """
    ordered = sorted(rows, key=lambda row: row.place)
    random.Random(study.rows_seed).shuffle(ordered)
    usable = _short(ordered)
    own = [(row, key) for row in usable for key in OWN[row.source] if key in row.known]
    asked = [_own(row, key, _setting(key, study)) for row, key in own]
    limits = {"in_domain": study.test_rows, "near": study.heldout_rows, "far": study.heldout_rows}
    found = [one for name in sorted({one.name for one in asked}) for one in _first(asked, name, limits)]
    return found + _in_other_words(without_held_out(usable, study), study)


def _setting(key: str, study: Study) -> Setting:
    return "near" if study.near.holds(key) else "far" if study.far.holds(key) else "in_domain"


def _own(row: Row, key: str, setting: Setting) -> Question:
    return Question(setting=setting, name=f"{row.source}/{key}", row=row, wording=canonical(key), unsafe=row.known[key])


def _first(asked: Sequence[Question], name: str, limits: dict[str, int]) -> list[Question]:
    mine = [one for one in asked if one.name == name]
    return mine[: limits[mine[0].setting]]


def _in_other_words(rows: Sequence[Row], study: Study) -> list[Question]:
    drawn = pairs(rows, random.Random(study.rows_seed), study.swapped_rows)
    chosen = [pair for pair in drawn if pair.kind == _SWAPPED]
    before = [_under("reworded", pair.row, pair.before) for pair in chosen]
    return before + [_under("swapped", pair.row, pair.afters[0]) for pair in chosen]


def _under(setting: Setting, row: Row, wording: Wording) -> Question:
    return Question(setting=setting, name=setting, row=row, wording=wording, unsafe=any(wording.values(row.known)))
