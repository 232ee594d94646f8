"""What is asked in reinforced alignment: rows under drawn policies, as the token ids of one call of serving.

A model that is served with each category apart is asked for one of a policy's at a time, too.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from worker.errors import TrainError
from worker.judge import prompt
from worker.judge.template import Template
from worker.judge.tokens import Tokens
from worker.policy.model import Panel
from worker.records import Label
from worker.train.data.load import Loaded, split_rows
from worker.train.data.papers import PAPERS, allowed
from worker.train.data.reads import Reads, check_commercial
from worker.train.data.rows import Row, non_commercial
from worker.train.data.splits import join_groups
from worker.train.examples.format import OWN, epoch_groups, message_of, policy_for
from worker.train.examples.reasoning import cited, label_of
from worker.train.examples.sample import Sample
from worker.train.policies.draw import Wording, balanced_sets
from worker.train.recipe import Recipe, make_ready
from worker.train.rl.recipes import GrpoRecipe

#: So often the rows are gone through for prompts before too few are found.
_MOST_EPOCHS: Final = 40
_FOLDER: Final = Reads()


class Rows(Struct, frozen=True, kw_only=True):
    """Rows to draw prompts from, the sets of concepts that may stand in one policy, and which policies may be asked.

    ``loaded`` is what they were read from, for the data card. ``as_served``: a template that asks for categories
    apart has them so in training, too; the study's rows are asked together, in all of its arms alike.
    """

    train: tuple[Sample, ...]
    dev: tuple[Sample, ...]
    sets: frozenset[frozenset[str]]
    accepts: Callable[[Panel], bool] = lambda _: True
    loaded: Loaded | None = None
    as_served: bool = False


class Problem(Struct, frozen=True, kw_only=True):
    """One prompt and what is right.

    Attributes:
        ids: the prompt, as serving would send it for this panel in one call.
        panel: its policy.
        expected: the row's label under that policy.
        cited: the ids of the violated categories, in the policy's order; None where only the verdict is known.
        benign: the row violates nothing that it is labelled for, under any policy.
        row: what it was made of.

    """

    ids: tuple[int, ...]
    panel: Panel
    expected: Label
    cited: tuple[str, ...] | None
    benign: bool
    row: Row


class Asker:
    """Writes prompts for one tokenizer and template, through the prompt that serves."""

    def __init__(self, tokens: Tokens, template: Template, *, reasoning: bool, as_served: bool = False) -> None:
        """Keep what every prompt needs; ``as_served`` is that of ``Rows``."""
        self.tokens = tokens
        self.template = template
        self.reasoning = reasoning
        self.apart = as_served and template.categories == "apart"

    def asked(self, rng: random.Random, wording: Wording, known: Mapping[str, bool]) -> Wording | None:
        """Return what stands in one prompt about a row with these labels; None where no such prompt has a label."""
        return one_of(rng, wording, known) if self.apart else wording

    def problem(self, row: Row, wording: Wording) -> Problem:
        """Make the problem of one row under one policy."""
        panel, message = wording.panel, message_of(row)
        expected, named = label_of(wording, row.known), cited(wording, row.known)
        segments = prompt.prefix(self.template, panel, row.role)
        segments += prompt.suffix(self.template, message, reasoning=self.reasoning)
        return Problem(
            ids=tuple(self.tokens.encode(segments)),
            panel=panel,
            expected=expected,
            cited=tuple(named) if named or expected == "safe" else None,
            benign=not any(row.known.values()),
            row=row,
        )


def read_rows(data: Path, seed: int, reads: Reads = _FOLDER) -> Rows:
    """Read the data sets of a folder, or a file of rows as JSON lines in the format of ``Row``.

    Args:
        data: the folder or the file.
        seed: of the choice of rows.
        reads: sets of the paper to read beside the folder's, and whether only those that allow commercial use.

    Raises:
        TrainError: the data is not there, is not rows, or may not be used for training.

    """
    if data.is_file():
        return _rows_of_file(data, reads)
    ready = make_ready(Recipe(data=data, out=data, seed=seed, canaries=0, reads=reads))
    dev = tuple(Sample(row=row, quotes={}) for row in ready.dev)
    return Rows(train=ready.train, dev=dev, sets=ready.sets, loaded=ready.loaded, as_served=True)


def _rows_of_file(path: Path, reads: Reads) -> Rows:
    if reads.papers:
        text = f"{path.name} is a file of rows, which are all that is read; give --data a folder, or leave --paper out"
        raise TrainError(text)
    try:
        rows = [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines() if line]
    except msgspec.DecodeError as error:
        text = f"{path.name} is not a file of rows: {error}; write one row of worker/train/data/rows.py on each line"
        raise TrainError(text) from None
    _check_sources(path, rows, reads)
    groups = join_groups([row.keys or (row.group or row.place,) for row in rows])
    named = [msgspec.structs.replace(row, group=group) for row, group in zip(rows, groups, strict=True)]
    parts = split_rows(named)
    return Rows(
        train=tuple(Sample(row=row, quotes={}) for row in parts["train"]),
        dev=tuple(Sample(row=row, quotes={}) for row in parts["dev"]),
        sets=balanced_sets(parts["train"], min_rows=1),
        loaded=Loaded(rows=tuple(named), dropped={}, non_commercial=non_commercial(named)),
        as_served=True,
    )


def _check_sources(path: Path, rows: Sequence[Row], reads: Reads) -> None:
    """Refuse rows of sets that are not known, may not train, or forbid commercial use."""
    names = sorted({row.source for row in rows})
    if unknown := [name for name in names if name not in OWN]:
        text = f"{path.name} has rows of {', '.join(unknown)}; a source is one of {', '.join(OWN)}"
        raise TrainError(text)
    for name in names:
        if name in PAPERS:
            allowed(name, path, "train")
    check_commercial(names, commercial_only=reads.commercial_only)


def one_of(rng: random.Random, wording: Wording, known: Mapping[str, bool]) -> Wording | None:
    """Draw one category of a policy, as serving asks for it apart; a policy with prose stays whole there, too.

    Returns:
        The policy of that category; None where a row's labels tell of none, as where only the verdict is known. Were
        such rows asked where they are safe, their source would tell the label.

    """
    panels = wording.panel.apart
    if len(panels) == 1:
        return wording
    told = [place for place, sense in enumerate(wording.senses) if sense.holds(known) is not None]
    if not told:
        return None
    place = rng.choice(told)
    own = f"{panels[place].categories[0].id}/"
    clauses = tuple(clause for clause in wording.clauses if clause[0].startswith(own))
    senses = (wording.senses[place],)
    return msgspec.structs.replace(wording, panel=panels[place], senses=senses, clauses=clauses, overall="")


def drawn(
    samples: Sequence[Sample], sets: frozenset[frozenset[str]], rng: random.Random
) -> Iterator[tuple[Row, Wording]]:
    """Yield one epoch of rows, each group of them under a policy drawn for it."""
    for group in epoch_groups(samples, rng):
        wording = policy_for(rng, group, sets)
        yield from ((sample.row, wording) for sample in group)


def problems(
    samples: Sequence[Sample],
    sets: frozenset[frozenset[str]],
    asker: Asker,
    recipe: GrpoRecipe,
    count: int,
    rng: random.Random,
    accepts: Callable[[Panel], bool] = lambda _: True,
) -> list[Problem]:
    """Draw problems with the recipe's shares of safe and of benign ones; longer prompts are left out.

    ``accepts`` tells which policies may be asked.

    Raises:
        TrainError: the rows have not enough of some kind.

    """
    kept: list[Problem] = []
    quota = _Quota(count, recipe)
    for _ in range(_MOST_EPOCHS):
        for row, whole in drawn(samples, sets, rng):
            wording = asker.asked(rng, whole, row.known)
            if wording is None:
                continue
            found = asker.problem(row, wording)
            fits = len(found.ids) <= recipe.max_prompt_tokens and accepts(found.panel)
            if fits and quota.takes(found):
                kept.append(found)
            if len(kept) == count:
                rng.shuffle(kept)
                return kept
    more = "rows that are labelled for categories" if asker.apart else "rows"
    text = f"the rows give {quota} of {count} prompts; take more {more}, or change safe_share and benign_share"
    raise TrainError(text)


class _Quota:
    """How many problems of each kind are still wanted."""

    def __init__(self, count: int, recipe: GrpoRecipe) -> None:
        self._safe = round(count * recipe.safe_share)
        self._most = {
            "unsafe": count - self._safe,
            "benign": self._safe,
            "elsewhere": self._safe - round(count * recipe.benign_share),
        }
        self._taken: Counter[str] = Counter()

    def takes(self, problem: Problem) -> bool:
        kind = "unsafe" if problem.expected == "unsafe" else "benign" if problem.benign else "elsewhere"
        safe = self._taken["benign"] + self._taken["elsewhere"]
        if self._taken[kind] >= self._most[kind] or (kind != "unsafe" and safe >= self._safe):
            return False
        self._taken[kind] += 1
        return True

    def __str__(self) -> str:
        return f"{self._taken['unsafe']} unsafe and {self._taken['benign'] + self._taken['elsewhere']} safe"
