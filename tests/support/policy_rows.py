"""Made-up rows with parts of concepts and several known concepts, for policies that vary."""

from __future__ import annotations

import random
from collections.abc import Iterator

from worker.train.data.labels import (
    AGREEMENT,
    BIAS,
    CIVILITY,
    HATE,
    HATE_RACE,
    HATE_RELIGION,
    HATE_THREATS,
    SEXISM,
    SEXISM_ANIMOSITY,
    SEXISM_DEROGATION,
    SEXISM_PREJUDICE,
    SEXISM_THREATS,
    SPAM,
    TOXICITY,
    close,
)
from worker.train.data.rows import Row

#: What each source's rows were labelled for.
OWN = {"edos": (SEXISM,), "hatemoji": (HATE,), "davidson": (HATE, CIVILITY), "sms": (SPAM,), "diasafety": (BIAS,)}


def mixed_rows(count: int = 600, seed: int = 1) -> list[Row]:
    """Return rows of five sources in turn; parts, other concepts and both labels occur in each where they can."""
    rng = random.Random(seed)
    makers = (_edos, _hatemoji, _davidson, _sms, _diasafety)
    rows = []
    for number in range(count):
        source, known = makers[number % len(makers)](rng)
        role = "agent" if source == "diasafety" else "user"
        text = f"text {number} of {source}"
        rows.append(Row(source=source, place=f"m:{number}", text=text, known=close(known), role=role))  # type: ignore[arg-type]
    return rows


def _edos(rng: random.Random) -> tuple[str, dict[str, bool]]:
    if rng.random() < 0.5:
        return "edos", {SEXISM: False, HATE: False, SPAM: False}
    own = rng.choice((SEXISM_THREATS, SEXISM_DEROGATION, SEXISM_ANIMOSITY, SEXISM_PREJUDICE))
    return "edos", {own: True, SPAM: False} | ({HATE: True} if own == SEXISM_DEROGATION else {})


def _hatemoji(rng: random.Random) -> tuple[str, dict[str, bool]]:
    if rng.random() < 0.5:
        return "hatemoji", {HATE: False, SPAM: False}
    race = rng.random() < 0.5
    return "hatemoji", {HATE_RACE: race, HATE_RELIGION: not race, HATE_THREATS: rng.random() < 0.3, SPAM: False}


def _davidson(rng: random.Random) -> tuple[str, dict[str, bool]]:
    hate, rude = rng.choice(((True, True), (False, True), (False, False)))
    return "davidson", {HATE: hate, CIVILITY: rude, TOXICITY: rude, SPAM: False}


def _sms(rng: random.Random) -> tuple[str, dict[str, bool]]:
    return "sms", {SPAM: rng.random() < 0.5, HATE: False, CIVILITY: False}


def _diasafety(rng: random.Random) -> tuple[str, dict[str, bool]]:
    return "diasafety", {rng.choice((BIAS, AGREEMENT)): rng.random() < 0.5}


def groups(rows: list[Row], size: int = 6) -> Iterator[list[Row]]:
    """Yield groups of neighbours of one source, which may know different labels."""
    by_source: dict[str, list[Row]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    for mine in by_source.values():
        yield from (mine[start : start + size] for start in range(0, len(mine), size))
