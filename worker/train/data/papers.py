"""The sets of RSafe's paper (arXiv 2506.07736, section 4.1), read into rows.

Training: ToxicChat, Aegis 2.0, OR-Bench (hard-1k and toxic), BeaverTails, PKU-SafeRLHF. Evaluation only:
OpenAI moderation, WildGuardTest, XSTest. None of them is part of this project: they are read by name where
a hub can be reached, or from a local file. What a set's own categories tell is told in RSafe's 18; what
they leave open stays unknown. Rows about minors are left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from worker.errors import TrainError
from worker.records import Role, Turn
from worker.train.data.clean import clean
from worker.train.data.hub import Record, from_file, from_hub
from worker.train.data.labels import CIVILITY, EXPERTISE, HATE
from worker.train.data.rows import Row
from worker.train.data.sources import SOURCES, Use
from worker.train.data.splits import normalise
from worker.train.data.taxonomy import (
    ANIMALS,
    ANY,
    CHILD_ABUSE,
    COERCION,
    CRIME,
    DRUGS,
    ESPIONAGE,
    MISINFORMATION,
    PRIVACY,
    PROPERTY,
    PUBLIC_SAFETY,
    SELF_HARM,
    SEXUAL,
    SEXUAL_MINORS,
    UNSAFE,
    VIOLENCE,
    WEAPONS,
    Mapped,
    about_minors,
    consistent,
    safe_labels,
    unsafe_labels,
)

_AEGIS: Final[Mapped] = {
    "Hate/Identity Hate": (HATE,),
    "Sexual": (SEXUAL,),
    "Violence": (VIOLENCE,),
    "Suicide and Self Harm": (SELF_HARM,),
    "Threat": (VIOLENCE, CIVILITY),
    "Sexual Minor": (SEXUAL_MINORS,),
    "Guns and Illegal Weapons": (WEAPONS,),
    "Controlled/Regulated Substances": (DRUGS,),
    "Criminal Planning/Confessions": ANY,
    "PII/Privacy": (PRIVACY,),
    "Harassment": (CIVILITY,),
    "Profanity": (CIVILITY,),
    "Fraud/Deception": (CRIME,),
    "Malware": (CRIME, WEAPONS),
    "Manipulation": (MISINFORMATION, COERCION),
    "Political/Misinformation/Conspiracy": (MISINFORMATION,),
    "Copyright/Trademark/Plagiarism": (PROPERTY,),
    "Unauthorized Advice": (EXPERTISE,),
}
_OR_BENCH: Final[Mapped] = {
    "deception": (CRIME, MISINFORMATION),
    "harassment": (CIVILITY,),
    "hate": (HATE,),
    "privacy": (PRIVACY,),
    "self-harm": (SELF_HARM,),
    "sexual": (SEXUAL,),
    "violence": (VIOLENCE,),
}
_BEAVERTAILS: Final[Mapped] = {
    "animal_abuse": (ANIMALS,),
    "child_abuse": (CHILD_ABUSE, SEXUAL_MINORS),
    "discrimination,stereotype,injustice": (HATE,),
    "drug_abuse,weapons,banned_substance": (DRUGS, WEAPONS),
    "financial_crime,property_crime,theft": (CRIME,),
    "hate_speech,offensive_language": (HATE, CIVILITY),
    "misinformation_regarding_ethics,laws_and_safety": (MISINFORMATION,),
    "privacy_violation": (PRIVACY,),
    "self_harm": (SELF_HARM,),
    "sexually_explicit,adult_content": (SEXUAL,),
    "terrorism,organized_crime": (VIOLENCE, WEAPONS, CRIME),
    "violence,aiding_and_abetting,incitement": (VIOLENCE,),
}
_SAFE_RLHF: Final[Mapped] = {
    "Endangering National Security": (ESPIONAGE,),
    "Insulting Behavior": (CIVILITY,),
    "Discriminatory Behavior": (HATE,),
    "Endangering Public Health": (PUBLIC_SAFETY,),
    "Copyright Issues": (PROPERTY,),
    "Violence": (VIOLENCE,),
    "Drugs": (DRUGS,),
    "Privacy Violation": (PRIVACY,),
    "Economic Crime": (CRIME,),
    "Mental Manipulation": (MISINFORMATION, COERCION),
    "Human Trafficking": (COERCION,),
    "Physical Harm": (VIOLENCE,),
    "Sexual Content": (SEXUAL,),
    "Cybercrime": (CRIME,),
    "Disrupting Public Order": (VIOLENCE, PUBLIC_SAFETY),
    "Environmental Damage": (PUBLIC_SAFETY,),
    "Psychological Harm": (CIVILITY, COERCION, SELF_HARM),
    "White-Collar Crime": (CRIME,),
    "Animal Abuse": (ANIMALS,),
}
_OPENAI: Final[Mapped] = {
    "S": (SEXUAL,),
    "H": (HATE,),
    "V": (VIOLENCE,),
    "HR": (CIVILITY,),
    "SH": (SELF_HARM,),
    "S3": (SEXUAL_MINORS,),
    "H2": (HATE,),
    "V2": (VIOLENCE,),
}
_WILDGUARD: Final[Mapped] = {
    "violence_and_physical_harm": (VIOLENCE,),
    "toxic_language_hate_speech": (HATE, CIVILITY),
    "sexual_content": (SEXUAL,),
    "sensitive_information_organization_government": (PRIVACY, PROPERTY, ESPIONAGE),
    "private_information_individual": (PRIVACY,),
    "social_stereotypes_and_unfair_discrimination": (HATE,),
    "fraud_assisting_illegal_activities": (CRIME, WEAPONS, DRUGS),
    "mental_health_over-reliance_crisis": (SELF_HARM, EXPERTISE),
    "cyberattack": (CRIME,),
    "copyright_violations": (PROPERTY,),
    "disseminating_false_or_misleading_information_encouraging_disinformation_campaigns": (MISINFORMATION,),
    "causing_material_harm_by_disseminating_misinformation": (MISINFORMATION,),
}
#: Only the verdict: these sets have no categories of their own.
_NONE: Final[Mapped] = {}
#: A blunt filter, not a guarantee: where a set has no category for minors, their words in a sexual row.
_MINOR: Final = re.compile(
    r"\b(child|children|kid|kids|minor|minors|underage|teen|teens|teenager|boy|girl|preteen|toddler)s?\b", re.IGNORECASE
)
_REDACTED: Final = "REDACTED"


class _Judged(Struct, frozen=True):
    """What a record says: one judged text, None where it has no verdict."""

    text: str
    unsafe: bool | None
    named: tuple[str, ...] = ()
    prompt: str = ""
    known: dict[str, bool] | None = None


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
    judged: Callable[[Record], Iterator[_Judged]]
    mapping: Mapped
    complete: bool
    only_safe: bool = False


def _yes(value: Any) -> bool:
    """Read a flag as JSON, Parquet or CSV have it."""
    return str(value).strip().lower() in {"1", "1.0", "true", "yes"}


def _flags(value: Any) -> tuple[str, ...]:
    """Return the names that are set; CSV holds the mapping as text."""
    flags: Mapping[str, Any] = ast.literal_eval(value) if isinstance(value, str) else value or {}
    return tuple(name for name, is_set in flags.items() if is_set)


def _toxic_chat(record: Record) -> Iterator[_Judged]:
    yield _Judged(record["user_input"], _yes(record["toxicity"]))


def _aegis(record: Record) -> Iterator[_Judged]:
    """Judge the prompt, and the answer where there is one.

    The categories are those of the whole exchange, so an answer takes them only where it is unsafe; and a
    prompt only where the answer adds nothing.
    """
    named = tuple(name.strip() for name in (record.get("violated_categories") or "").split(",") if name.strip())
    prompt, answer = record["prompt"], record.get("response") or ""
    prompt_label, answer_label = record.get("prompt_label"), record.get("response_label")
    if prompt == _REDACTED:
        return
    alone = named if answer_label != "unsafe" or prompt_label != "unsafe" else ("", *_minor_names(named))
    if prompt_label in {"safe", "unsafe"}:
        yield _Judged(prompt, prompt_label == "unsafe", alone)
    if answer and answer_label in {"safe", "unsafe"}:
        yield _Judged(answer, answer_label == "unsafe", alone, prompt)


def _minor_names(named: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in named if about_minors((name,), _AEGIS))


def _or_bench_hard(record: Record) -> Iterator[_Judged]:
    """Prompts that look unsafe and are not."""
    yield _Judged(record["prompt"], unsafe=False)


def _or_bench_toxic(record: Record) -> Iterator[_Judged]:
    yield _Judged(record["prompt"], unsafe=True, named=(record["category"],))


def _beavertails(record: Record) -> Iterator[_Judged]:
    named = _flags(record["category"])
    yield _Judged(record["response"], not _yes(record["is_safe"]), named, record["prompt"])


def _safe_rlhf(record: Record) -> Iterator[_Judged]:
    for place in (0, 1):
        named = _flags(record.get(f"response_{place}_harm_category"))
        safe = _yes(record[f"is_response_{place}_safe"])
        yield _Judged(record[f"response_{place}"], not safe, named, record["prompt"])


def _openai(record: Record) -> Iterator[_Judged]:
    """Flags may be missing: then that category is unknown. Not threatening (H2), not graphic (V2) says nothing."""
    flags = {name: _yes(record[name]) for name in _OPENAI if record.get(name) not in {None, ""}}
    named = tuple(name for name, is_set in flags.items() if is_set)
    told = {key: False for name in flags.keys() - {"H2", "V2", "S3"} for key in _OPENAI[name]}
    told |= {key: True for name in named for key in _OPENAI[name]}
    yield _Judged(record["prompt"], bool(named), named, known={UNSAFE: bool(named)} | told)


def _wildguard(record: Record) -> Iterator[_Judged]:
    named = (record.get("subcategory") or "",)
    labels = {"harmful": True, "unharmful": False}
    yield _Judged(record["prompt"], labels.get(record.get("prompt_harm_label") or ""), named)
    if record.get("response"):
        answer = labels.get(record.get("response_harm_label") or "")
        yield _Judged(record["response"], answer, named, record["prompt"])


def _xstest(record: Record) -> Iterator[_Judged]:
    yield _Judged(record["prompt"], record["label"] == "unsafe")


_TEST: Final[dict[Use, str]] = {"evaluation": "test"}
_BOTH: Final[dict[Use, str]] = {"train": "train", "evaluation": "test"}
PAPERS: Final[dict[str, Paper]] = {
    "toxic_chat": Paper(
        hub=("lmsys/toxic-chat", "toxicchat0124"),
        splits=_BOTH,
        judged=_toxic_chat,
        mapping=_NONE,
        complete=False,
    ),
    "aegis2": Paper(
        hub=("nvidia/Aegis-AI-Content-Safety-Dataset-2.0", None),
        splits=_BOTH,
        judged=_aegis,
        mapping=_AEGIS,
        complete=True,
    ),
    "or_bench_hard": Paper(
        hub=("bench-llm/or-bench", "or-bench-hard-1k"),
        splits={"train": "train"},
        judged=_or_bench_hard,
        mapping=_OR_BENCH,
        complete=False,
        only_safe=True,
    ),
    "or_bench_toxic": Paper(
        hub=("bench-llm/or-bench", "or-bench-toxic"),
        splits={"train": "train"},
        judged=_or_bench_toxic,
        mapping=_OR_BENCH,
        complete=False,
    ),
    "beavertails": Paper(
        hub=("PKU-Alignment/BeaverTails", None),
        splits={"train": "30k_train", "evaluation": "30k_test"},
        judged=_beavertails,
        mapping=_BEAVERTAILS,
        complete=True,
    ),
    "safe_rlhf": Paper(
        hub=("PKU-Alignment/PKU-SafeRLHF", None),
        splits=_BOTH,
        judged=_safe_rlhf,
        mapping=_SAFE_RLHF,
        complete=True,
    ),
    "openai_moderation": Paper(
        hub=("mmathys/openai-moderation-api-evaluation", None),
        splits={"evaluation": "train"},
        judged=_openai,
        mapping=_OPENAI,
        complete=True,
    ),
    "wildguard_test": Paper(
        hub=("allenai/wildguardmix", "wildguardtest"),
        splits=_TEST,
        judged=_wildguard,
        mapping=_WILDGUARD,
        complete=False,
    ),
    "xstest": Paper(
        hub=("Paul/XSTest", None), splits={"evaluation": "train"}, judged=_xstest, mapping=_NONE, complete=False
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
            read, or a field that is missing.

    """
    paper = allowed(name, path, use)
    records = from_file(path) if path else from_hub(*paper.hub, paper.splits[use])
    stem = path.name if path else paper.splits[use]
    rows: list[Row] = []
    for number, record in enumerate(records):
        try:
            judged = list(paper.judged(record))
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            text = (
                f"row {number} of {path or paper.hub[0]} is not in the format of {name} ({error!r}); give a file of it"
            )
            raise TrainError(text) from error
        rows += [_row(name, f"{stem}:{number}", part, one) for part, one in enumerate(judged) if _usable(one, paper)]
    return rows


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


def _usable(judged: _Judged, paper: Paper) -> bool:
    if judged.unsafe is None or not clean(judged.text) or about_minors(judged.named, paper.mapping):
        return False
    sexual = any(SEXUAL in paper.mapping.get(name, ANY) for name in judged.named)
    return not (sexual and _MINOR.search(f"{judged.prompt} {judged.text}"))


def _row(name: str, place: str, part: int, judged: _Judged) -> Row:
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
