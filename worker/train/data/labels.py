"""The concepts that rows are labelled for, and what one label says of another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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
