"""Policies with words missing, so that no wording can be learnt by heart. Pure, given a generator.

The stock of wordings is small beside the number of steps: after some epochs a network knows each sentence, and reads
a policy by it instead of by its words. Held-out words are followed less and less then. With some words gone, each
sentence is a new one, and what it asks has to be told from the words that are left.
"""

from __future__ import annotations

import random
import re
from typing import Final

import msgspec

from worker.policy.model import EffectiveCategory
from worker.records import Clause
from worker.train.policies.wording import Wording

_SHARE: Final = 0.25
#: Fewer words than these say too little when one is gone.
_MIN_WORDS: Final = 4
#: What turns a sentence round, or says that it is not alone, stays.
_KEPT: Final = re.compile(
    r"\W*(?:no|not|nor|none|never|nobody|nothing|without|but|than|other|else|rest|free|absent|contrary|opposite|unlike"
    r"|anything|everything|whatever|all|only|just|or|leaves?|alone|peace)\W*",
    re.IGNORECASE,
)


def fray(rng: random.Random, wording: Wording) -> Wording:
    """Return a policy with a quarter of the words of its definitions and clauses gone; what it asks stays.

    Ids, names and short sentences stay whole, and so do words that turn a sentence round.
    """
    shown = tuple(_category(rng, one) for one in wording.panel.categories)
    return msgspec.structs.replace(wording, panel=msgspec.structs.replace(wording.panel, categories=shown))


def _category(rng: random.Random, shown: EffectiveCategory) -> EffectiveCategory:
    return msgspec.structs.replace(
        shown,
        definition=_text(rng, shown.definition),
        violates=tuple(_clause(rng, one) for one in shown.violates),
        allowed=tuple(_clause(rng, one) for one in shown.allowed),
    )


def _clause(rng: random.Random, clause: Clause) -> Clause:
    return msgspec.structs.replace(clause, text=_text(rng, clause.text))


def _text(rng: random.Random, text: str) -> str:
    words = text.split()
    if len(words) < _MIN_WORDS:
        return text
    left = [word for word in words if _KEPT.fullmatch(word) or rng.random() >= _SHARE]
    return " ".join(left) if len(left) >= _MIN_WORDS // 2 else text
