"""What a record of each of the paper's sets says: the judged texts, and what the set's own categories mean here. Pure.

A verdict, a flag or a text that is not written as the set writes it is an error, and never a "no".
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from worker.train.data.hub import Record
from worker.train.data.labels import CIVILITY, EXPERTISE, HATE
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
)

AEGIS: Final[Mapped] = {
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
OR_BENCH: Final[Mapped] = {
    "deception": (CRIME, MISINFORMATION),
    "harassment": (CIVILITY,),
    "hate": (HATE,),
    "privacy": (PRIVACY,),
    "self-harm": (SELF_HARM,),
    "sexual": (SEXUAL,),
    "violence": (VIOLENCE,),
}
BEAVERTAILS: Final[Mapped] = {
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
SAFE_RLHF: Final[Mapped] = {
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
OPENAI: Final[Mapped] = {
    "S": (SEXUAL,),
    "H": (HATE,),
    "V": (VIOLENCE,),
    "HR": (CIVILITY,),
    "SH": (SELF_HARM,),
    "S3": (SEXUAL_MINORS,),
    "H2": (HATE,),
    "V2": (VIOLENCE,),
}
WILDGUARD: Final[Mapped] = {
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
NO_CATEGORIES: Final[Mapped] = {}
#: Instead of a prompt that the set must not repeat.
_REDACTED: Final = "REDACTED"
#: A verdict or a flag in words: true is unsafe, or set.
Words = Mapping[str, bool]
#: As JSON, Parquet and CSV have flags.
_FLAG: Final[Words] = dict.fromkeys(("1", "1.0", "true", "yes"), True) | dict.fromkeys(
    ("0", "0.0", "false", "no"), False
)
_LABEL: Final[Words] = {"unsafe": True, "safe": False}
_HARM: Final[Words] = {"harmful": True, "unharmful": False}
#: As they have what is not there.
_ABSENT: Final = frozenset({"", "none", "null", "nan"})


class Judged(Struct, frozen=True):
    """What a record says: one judged text, None where it has no verdict."""

    text: str
    unsafe: bool | None
    named: tuple[str, ...] = ()
    prompt: str = ""
    known: dict[str, bool] | None = None


def _field(record: Record, field: str) -> Any:
    if field not in record:
        text = f"field {field} is missing"
        raise ValueError(text)
    return record[field]


def _read(value: Any, field: str, words: Words = _FLAG) -> bool | None:
    """Read a verdict or a flag; None where it is empty. Whatever is written otherwise is a ValueError."""
    word = str(value).strip().lower()
    if word not in words and word not in _ABSENT:
        text = f"field {field} is none of {', '.join(words)}"
        raise ValueError(text)
    return words.get(word)


def _told(value: Any, field: str, words: Words = _FLAG) -> bool:
    """Read one that every record of the set has."""
    found = _read(value, field, words)
    if found is None:
        text = f"field {field} is empty and not one of {', '.join(words)}"
        raise ValueError(text)
    return found


def _text(record: Record, field: str) -> str:
    value = _field(record, field)
    if not isinstance(value, str):
        text = f"field {field} is no text"
        raise TypeError(text)
    return value


def _text_if_any(record: Record, field: str) -> str:
    """Return a text that a record may lack."""
    return "" if record.get(field) is None else _text(record, field)


def _flags(record: Record, field: str) -> tuple[str, ...]:
    """Return the names that are set; CSV holds the mapping as text, and of a record without one none is known."""
    value = record.get(field)
    flags = _literal(value) if isinstance(value, str) else value
    if flags is None:
        return ()
    if not isinstance(flags, Mapping):
        text = f"field {field} is no mapping of categories to flags"
        raise TypeError(text)
    return tuple(name for name, is_set in flags.items() if _told(is_set, field))


def _literal(text: str) -> Any:
    """Read a literal of Python, None of an empty text; what is no literal stays text, which is no mapping."""
    try:
        return ast.literal_eval(text) if text.strip() else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def toxic_chat(record: Record) -> Iterator[Judged]:
    """Judge the prompt."""
    yield Judged(_text(record, "user_input"), _told(_field(record, "toxicity"), "toxicity"))


def aegis(record: Record) -> Iterator[Judged]:
    """Judge the prompt, and the answer where there is one.

    The categories are those of the whole exchange, so an answer takes them only where it is unsafe; and a
    prompt only where the answer adds nothing.
    """
    named = tuple(name.strip() for name in _text_if_any(record, "violated_categories").split(",") if name.strip())
    prompt, answer = _text(record, "prompt"), _text_if_any(record, "response")
    asked = _read(_field(record, "prompt_label"), "prompt_label", _LABEL)
    answered = _read(record.get("response_label"), "response_label", _LABEL)
    if prompt == _REDACTED:
        return
    alone = named if not (asked and answered) else ("", *_minor_names(named))
    yield Judged(prompt, asked, alone)
    if answer:
        yield Judged(answer, answered, alone, prompt)


def _minor_names(named: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in named if about_minors((name,), AEGIS))


def or_bench_hard(record: Record) -> Iterator[Judged]:
    """Judge a prompt that looks unsafe and is not."""
    yield Judged(_text(record, "prompt"), unsafe=False)


def or_bench_toxic(record: Record) -> Iterator[Judged]:
    """Judge a prompt that is unsafe."""
    yield Judged(_text(record, "prompt"), unsafe=True, named=(_text(record, "category"),))


def beavertails(record: Record) -> Iterator[Judged]:
    """Judge the answer."""
    safe = _told(_field(record, "is_safe"), "is_safe")
    yield Judged(_text(record, "response"), not safe, _flags(record, "category"), _text(record, "prompt"))


def safe_rlhf(record: Record) -> Iterator[Judged]:
    """Judge both answers."""
    for place in (0, 1):
        named = _flags(record, f"response_{place}_harm_category")
        field = f"is_response_{place}_safe"
        safe = _told(_field(record, field), field)
        yield Judged(_text(record, f"response_{place}"), not safe, named, _text(record, "prompt"))


def openai(record: Record) -> Iterator[Judged]:
    """Flags may be missing: then that category is unknown. Not threatening (H2), not graphic (V2) says nothing."""
    read = {name: _read(record.get(name), name) for name in OPENAI}
    flags = {name: is_set for name, is_set in read.items() if is_set is not None}
    named = tuple(name for name, is_set in flags.items() if is_set)
    told = {key: False for name in flags.keys() - {"H2", "V2", "S3"} for key in OPENAI[name]}
    told |= {key: True for name in named for key in OPENAI[name]}
    unsafe = bool(named) if flags else None
    yield Judged(_text(record, "prompt"), unsafe, named, known={UNSAFE: bool(named)} | told)


def wildguard(record: Record) -> Iterator[Judged]:
    """Judge the prompt, and the answer where there is one."""
    named = (_text_if_any(record, "subcategory"),)
    prompt, answer = _text(record, "prompt"), _text_if_any(record, "response")
    asked = _read(_field(record, "prompt_harm_label"), "prompt_harm_label", _HARM)
    answered = _read(record.get("response_harm_label"), "response_harm_label", _HARM)
    yield Judged(prompt, asked, named)
    if answer:
        yield Judged(answer, answered, named, prompt)


def xstest(record: Record) -> Iterator[Judged]:
    """Judge the prompt."""
    yield Judged(_text(record, "prompt"), _told(_field(record, "label"), "label", _LABEL))
