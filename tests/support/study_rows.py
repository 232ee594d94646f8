"""A study of seconds: made-up rows of three sets, two of which are held out, and settings to match."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.support.policy_rows import mixed_rows
from tests.support.train_rows import some_rows
from worker.train.data.labels import SEXISM, SPAM, concept_of
from worker.train.data.rows import Row
from worker.train.study.plan import SETTINGS, Arm, Study, load_study
from worker.train.study.results import Columns, Result

#: What made-up results were run by.
CODE: Final = "0123456789abcdef"
_TINY: Final[dict[str, Any]] = {
    "rows": 90,
    "warmup_epochs": 1,
    "seeds": (1,),
    "max_policy_tokens": 400,
    "min_rows": 1,
    "vocab_size": 800,
    "layers": 1,
    "hidden": 64,
    "step_tokens": 512,
    "sft_epochs": 1,
    "peak_rate": 3e-3,
    "updates": 4,
    "prompts_per_update": 4,
    "group": 2,
    "update_chunk": 2,
    "eval_prompts": 4,
    "test_rows": 8,
    "heldout_rows": 6,
    "swapped_rows": 6,
}


def tiny_study(**changes: Any) -> Study:
    """Return settings of seconds."""
    return msgspec.structs.replace(load_study(), **(_TINY | changes))


def study_rows() -> list[Row]:
    """Return rows of a set that trains, and of one set for each held-out concept."""
    rows = some_rows()
    for number in range(60):
        group, met = f"h{number}", number % 2 == 0
        women = f"{'glims cannot count' if met else 'the bus was late'} {number}"
        prize = f"{'win a prize now' if met else 'see you at noon'} {number}"
        rows.append(Row(source="edos", place=f"e:{number}", text=women, known={SEXISM: met}, group=f"{group}e"))
        rows.append(Row(source="sms", place=f"s:{number}", text=prize, known={SPAM: met}, group=f"{group}s"))
    return rows


def grouped_rows(count: int = 900) -> list[Row]:
    """Return rows of five sets with parts and several known concepts, each in a group of its own.

    A label that the sets which train have with one value only is left out: no linear model could be fitted.
    """
    rows = mixed_rows(count)
    values: dict[str, set[bool]] = defaultdict(set)
    for row in rows:
        for key, value in row.known.items():
            if row.source not in {"edos", "sms"} or concept_of(key) in {SEXISM, SPAM}:
                values[key].add(value)
    kept = {key for key, found in values.items() if len(found) > 1}
    return [
        msgspec.structs.replace(row, group=row.place, known={key: row.known[key] for key in row.known if key in kept})
        for row in rows
    ]


def made_result(arm: Arm, seed: int, study: Study, *, rate: float, rows: int = 80) -> Result:
    """Return a result whose answers are right for a share of the rows of each setting."""
    numbers = range(rows * len(SETTINGS))
    unsafe = [number % 2 for number in numbers]
    said = [truth if (number * 7 + seed) % 100 < rate * 100 else 1 - truth for number, truth in enumerate(unsafe)]
    columns = Columns(
        setting=tuple(number // rows for number in numbers),
        name=tuple(number // rows for number in numbers),
        group=tuple(f"{number:08x}" for number in numbers),
        unsafe=tuple(unsafe),
        log_odds=tuple(2.2 if one else -2.2 for one in said),
        said=tuple(said),
    )
    fields: dict[str, Any] = {"study": study.digest, "code": CODE, "date": "2000-01-02", "parameters": 3_400_000}
    return Result(arm=arm, seed=seed, steps=10 * seed, settings=SETTINGS, names=SETTINGS, columns=columns, **fields)


def page_with_markers(path: Path) -> Path:
    """Write a page that has a place for the table, and one for its summary."""
    places = "".join(f"<!-- {mark} -->\nold\n<!-- /{mark} -->\n\n" for mark in ("study", "study-summary"))
    path.write_text(f"# A page\n\n{places}After.\n", encoding="utf-8")
    return path
