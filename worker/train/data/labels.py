"""The concepts that rows are labelled for, what one label says of another, and what a category asks. Pure.

A label key is a concept (``sexism``) or a part of one that a set's own sub-labels tell apart
(``sexism.threats``). Parts of a concept need not cover it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

HATE: Final = "hate"
CIVILITY: Final = "civility"
ABUSE: Final = "abuse"
TOXICITY: Final = "toxicity"
SEXISM: Final = "sexism"
SPAM: Final = "spam"
OFFENDING: Final = "offending_user"
RISK: Final = "risk_ignorance"
EXPERTISE: Final = "unauthorized_expertise"
AGREEMENT: Final = "toxicity_agreement"
BIAS: Final = "biased_opinion"

#: Reviewed relations: (a label, what follows from it), each with its reason.
IMPLIED: Final[tuple[tuple[tuple[str, bool], tuple[str, bool], str], ...]] = (
    ((ABUSE, True), (CIVILITY, True), "abuse of the one who answers is harassment, whatever its words"),
    ((OFFENDING, True), (CIVILITY, True), "an answer that insults the user is harassment"),
    ((TOXICITY, True), (CIVILITY, True), "toxic is defined by insult and disrespect, which civility forbids"),
    ((CIVILITY, False), (TOXICITY, False), "a text without insult and offence is not a toxic comment"),
    ((TOXICITY, False), (HATE, False), "a comment that nobody finds disrespectful does not attack a group"),
)


def close(known: Mapping[str, bool]) -> dict[str, bool]:
    """Add what follows from the labels. A label that is there is never overwritten.

    Raises:
        ValueError: two labels contradict each other through the table.

    """
    closed = dict(known)
    for _ in IMPLIED:
        for (key, value), (other, follows), _reason in IMPLIED:
            if closed.get(key) is value and closed.setdefault(other, follows) is not follows:
                text = f"{key}={value} implies {other}={follows}, but the row says otherwise"
                raise ValueError(text)
    return closed


class Sense(Struct, frozen=True, order=True):
    """What a category of a policy asks of a row: one label, or any of several; ``negated``: none of them.

    One key is a concept or a part of it; several are a definition that spans parts; a negated sense is
    what stays when ``violates`` and ``allowed`` change places.
    """

    any_of: tuple[str, ...]
    negated: bool = False

    def holds(self, known: Mapping[str, bool]) -> bool | None:
        """Tell whether a row meets it; None where the row's labels do not say."""
        values = [known.get(key) for key in self.any_of]
        if any(values):
            return not self.negated
        return None if None in values else self.negated


def one(key: str) -> Sense:
    """Return the sense of a single label."""
    return Sense((key,))
