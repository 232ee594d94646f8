"""The sets of RSafe's paper (arXiv 2506.07736, section 4.1), read into rows.

Training: ToxicChat, Aegis 2.0, OR-Bench (hard-1k and toxic), BeaverTails, PKU-SafeRLHF. Evaluation only:
OpenAI moderation, WildGuardTest, XSTest. None of them is part of this project: they are read by name where
a hub can be reached, or from a local file. What a set's own categories tell is told in RSafe's 18; what
they leave open stays unknown. Rows about minors are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from worker.errors import TrainError
from worker.records import Role, Turn
from worker.train.data.clean import clean
from worker.train.data.hub import Record, from_file, from_hub
from worker.train.data.paper_records import (
    AEGIS,
    BEAVERTAILS,
    NO_CATEGORIES,
    OPENAI,
    OR_BENCH,
    SAFE_RLHF,
    WILDGUARD,
    Judged,
    aegis,
    beavertails,
    openai,
    or_bench_hard,
    or_bench_toxic,
    safe_rlhf,
    toxic_chat,
    wildguard,
    xstest,
)
from worker.train.data.rows import Row
from worker.train.data.sources import SOURCES, Use
from worker.train.data.splits import normalise
from worker.train.data.taxonomy import (
    ANY,
    SEXUAL,
    Mapped,
    about_minors,
    consistent,
    safe_labels,
    unsafe_labels,
)

#: A blunt filter, not a guarantee: where a set has no category for minors, their words in a sexual row.
_MINOR: Final = re.compile(
    r"\b(child|children|kid|kids|minor|minors|underage|teen|teens|teenager|boy|girl|preteen|toddler)s?\b", re.IGNORECASE
)


class Paper(Struct, frozen=True, kw_only=True):
    """How one set is found and read.

    Attributes:
        hub: its name there, and the configuration.
        splits: the hub's split for each use.
        judged: the judged texts of a record.
        mapping: what its categories mean.
        complete: whether a row names every category that it violates.
        only_safe: whether no row of it violates anything.

    """

    hub: tuple[str, str | None]
    splits: dict[Use, str]
    judged: Callable[[Record], Iterator[Judged]]
    mapping: Mapped
    complete: bool
    only_safe: bool = False


_TEST: Final[dict[Use, str]] = {"evaluation": "test"}
_BOTH: Final[dict[Use, str]] = {"train": "train", "evaluation": "test"}
PAPERS: Final[dict[str, Paper]] = {
    "toxic_chat": Paper(
        hub=("lmsys/toxic-chat", "toxicchat0124"),
        splits=_BOTH,
        judged=toxic_chat,
        mapping=NO_CATEGORIES,
        complete=False,
    ),
    "aegis2": Paper(
        hub=("nvidia/Aegis-AI-Content-Safety-Dataset-2.0", None),
        splits=_BOTH,
        judged=aegis,
        mapping=AEGIS,
        complete=True,
    ),
    "or_bench_hard": Paper(
        hub=("bench-llm/or-bench", "or-bench-hard-1k"),
        splits={"train": "train"},
        judged=or_bench_hard,
        mapping=OR_BENCH,
        complete=False,
        only_safe=True,
    ),
    "or_bench_toxic": Paper(
        hub=("bench-llm/or-bench", "or-bench-toxic"),
        splits={"train": "train"},
        judged=or_bench_toxic,
        mapping=OR_BENCH,
        complete=False,
    ),
    "beavertails": Paper(
        hub=("PKU-Alignment/BeaverTails", None),
        splits={"train": "30k_train", "evaluation": "30k_test"},
        judged=beavertails,
        mapping=BEAVERTAILS,
        complete=True,
    ),
    "safe_rlhf": Paper(
        hub=("PKU-Alignment/PKU-SafeRLHF", None),
        splits=_BOTH,
        judged=safe_rlhf,
        mapping=SAFE_RLHF,
        complete=True,
    ),
    "openai_moderation": Paper(
        hub=("mmathys/openai-moderation-api-evaluation", None),
        splits={"evaluation": "train"},
        judged=openai,
        mapping=OPENAI,
        complete=True,
    ),
    "wildguard_test": Paper(
        hub=("allenai/wildguardmix", "wildguardtest"),
        splits=_TEST,
        judged=wildguard,
        mapping=WILDGUARD,
        complete=False,
    ),
    "xstest": Paper(
        hub=("Paul/XSTest", None), splits={"evaluation": "train"}, judged=xstest, mapping=NO_CATEGORIES, complete=False
    ),
}


def read_paper(name: str, path: Path | None = None, *, use: Use) -> list[Row]:
    """Read one set of the paper.

    Args:
        name: key of ``PAPERS``.
        path: a local file of it (``.jsonl``, ``.json``, ``.csv``, ``.parquet``); None reads the hub. Which of
            the set's splits a file holds is for the caller to know.
        use: ``train`` or ``evaluation``; on the hub they are different splits.

    Returns:
        Rows without a group. Texts without a verdict and rows about minors are left out.

    Raises:
        TrainError: no such set, a set or split that must not be used so, a file or a hub that cannot be
            read or holds no record or verdict, or a field that is missing or not as the set writes it.

    """
    paper = allowed(name, path, use)
    records = from_file(path) if path else from_hub(*paper.hub, paper.splits[use])
    where, stem = path or paper.hub[0], path.name if path else paper.splits[use]
    rows, number, has_verdicts = list[Row](), -1, set[bool]()
    for number, record in enumerate(records):
        try:
            judged = _judged(paper, record)
        except (TypeError, ValueError) as error:
            text = (
                f"row {number} of {where} is not in the format of {name} ({error}); mend it, or give a file of {name}"
            )
            raise TrainError(text) from error
        rows += [_row(name, f"{stem}:{number}", part, one) for part, one in enumerate(judged) if _usable(one, paper)]
        has_verdicts |= {one.unsafe is not None for one in judged}
    if number < 0 or has_verdicts == {False}:
        text = f"{where} holds no {'record' if number < 0 else 'verdict'}; point to a whole file of {name}"
        raise TrainError(text)
    return rows


def _judged(paper: Paper, record: object) -> list[Judged]:
    if not isinstance(record, Mapping):
        text = "it is no record with fields"
        raise TypeError(text)
    return list(paper.judged(record))


def allowed(name: str, path: Path | None, use: Use) -> Paper:
    """Return the set of this name if it may be used so; see ``read_paper``."""
    paper = PAPERS.get(name)
    if paper is None:
        text = f"no set is called {name!r}; there are {', '.join(PAPERS)}"
        raise TrainError(text)
    if use == "train" and SOURCES[name].use == "evaluation":
        text = f"{name} is for evaluation only: training on it would spoil the comparison; take it out of the run"
        raise TrainError(text)
    if path is None and use not in paper.splits:
        text = f"{name} has no split for {use} on the hub; give a local file of rows kept apart for it"
        raise TrainError(text)
    return paper


def _usable(judged: Judged, paper: Paper) -> bool:
    if judged.unsafe is None or not clean(judged.text) or about_minors(judged.named, paper.mapping):
        return False
    sexual = any(SEXUAL in paper.mapping.get(name, ANY) for name in judged.named)
    return not (sexual and _MINOR.search(f"{judged.prompt} {judged.text}"))


def _row(name: str, place: str, part: int, judged: Judged) -> Row:
    # Cleaned before anything is made of them, or escapes would part a prompt from its answer.
    paper, prompt, text = PAPERS[name], clean(judged.prompt), clean(judged.text)
    role: Role = "agent" if prompt else "user"
    told = (
        unsafe_labels(judged.named, paper.mapping, complete=paper.complete)
        if judged.unsafe
        else safe_labels(paper.mapping)
    )
    return Row(
        source=name,
        place=f"{name}/{place}" + (f"#{part}" if part else ""),
        text=text,
        role=role,
        context=(Turn(role="user", text=prompt),) if prompt else (),
        known=consistent(told if judged.known is None else judged.known),
        keys=("text:" + normalise(prompt or text),),
    )
