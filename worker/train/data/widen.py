"""Labels that cross from one data set's question to another's: a reviewed list of negatives.

A chat's policy asks about spam in messages that were labelled for hate, and the other way round.
Where the sets allow it, such a cell is taken as false. Read by eye (35 to 70 random rows and the 12
nearest the bound, training split, no violation seen): hate in SMS, ConvAbuse and EDOS, and spam.
The clean-word rule for civility was checked by its word lists only, and the two health rules of
DiaSafety were not sampled. A rule never says true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from worker.train.data.labels import ABUSE, CIVILITY, EXPERTISE, HATE, RISK, SEXISM, SPAM, TOXICITY, close
from worker.train.data.linear import Linear
from worker.train.data.rows import Row


class Rule(Struct, frozen=True, kw_only=True):
    """Rows of ``sources`` with ``given`` labels are not ``concept`` if the linear model agrees.

    ``bound``: P(concept) of the linear model must be below it; ``clean``: no single word of the text
    may weigh heavily towards the concept.
    """

    sources: tuple[str, ...]
    concept: str
    given: Callable[[Mapping[str, bool]], bool]
    bound: float = 1.01
    clean: bool = False
    why: str


def _no_abuse(known: Mapping[str, bool]) -> bool:
    return known.get(ABUSE) is False


def _not_toxic(known: Mapping[str, bool]) -> bool:
    return known.get(TOXICITY) is False


def _not_sexist(known: Mapping[str, bool]) -> bool:
    return known.get(SEXISM) is False


def _medical(known: Mapping[str, bool]) -> bool:
    return EXPERTISE in known or RISK in known


def _any(_known: Mapping[str, bool]) -> bool:
    return True


_ALL_BUT_SMS: Final = ("convabuse", "davidson", "diasafety", "edos", "hatemoji", "surge", "toxic_spans")

RULES: Final[tuple[Rule, ...]] = (
    Rule(sources=("sms",), concept=HATE, given=_any, bound=0.6, why="private messages and advertising name no groups"),
    Rule(sources=("sms",), concept=CIVILITY, given=_any, clean=True, why="text messages without a swear word"),
    Rule(sources=("convabuse",), concept=HATE, given=_no_abuse, bound=0.6, why="no annotator saw any abuse"),
    Rule(
        sources=("convabuse",),
        concept=CIVILITY,
        given=_no_abuse,
        clean=True,
        why="no annotator saw abuse, no swear word",
    ),
    Rule(sources=("surge",), concept=CIVILITY, given=_not_toxic, clean=True, why="not toxic, and no swear word"),
    Rule(sources=("edos",), concept=HATE, given=_not_sexist, bound=0.3, why="not sexist, and far from other hate"),
    Rule(sources=("diasafety",), concept=HATE, given=_medical, bound=0.5, why="talk about health and distress"),
    Rule(sources=("diasafety",), concept=CIVILITY, given=_medical, clean=True, why="the same, without a swear word"),
    Rule(sources=_ALL_BUT_SMS, concept=SPAM, given=_any, bound=0.2, why="comments and chats that advertise nothing"),
)


def widen(rows: Sequence[Row], models: Mapping[str, Linear]) -> list[Row]:
    """Close each row's labels under the relations, then add the reviewed negatives of concepts that have a model."""
    wide = [msgspec.structs.replace(row, known=close(row.known)) for row in rows]
    for rule in (one for one in RULES if one.concept in models):
        model = models[rule.concept]
        asked = [place for place, row in enumerate(wide) if _asks(rule, row)]
        scores = model.probabilities([wide[place].text for place in asked])
        for place, score in zip(asked, scores, strict=True):
            row = wide[place]
            if score < rule.bound and not (rule.clean and model.has_strong_word(row.text)):
                known = close(row.known | {rule.concept: False})
                wide[place] = msgspec.structs.replace(row, known=known)
    return wide


def _asks(rule: Rule, row: Row) -> bool:
    return row.source in rule.sources and rule.concept not in row.known and rule.given(row.known)
