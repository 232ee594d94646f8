"""What a policy costs with every message: tokens of the prompt's part that comes before it. Pure."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from worker.policy.finding import Finding, info
from worker.policy.lint_words import sentences
from worker.records import Policy

PER_MESSAGES: Final = 1000
#: Words in pieces of about four letters, single digits, and single signs: near what a byte-level BPE makes of them.
_PIECE: Final = re.compile(r"\d|[^\W\d_]{1,5}|[^\w\s]")
#: ``- violates U7/slur: `` before a clause, and what a category's line has beside name and definition.
_AROUND: Final = 5


class Cost(Struct, frozen=True, kw_only=True):
    """Tokens that stand before each message.

    Attributes:
        tokens: of all calls for one message.
        calls: prompts for one message; two where the floor is judged apart, one a category where the model wants that.
        exact: counted with the model's tokenizer and template; else estimated, the template left out.

    """

    tokens: int
    calls: int
    exact: bool

    @property
    def per_thousand(self) -> int:
        """Tokens for a thousand messages, before the prefix cache."""
        return self.tokens * PER_MESSAGES


def estimate(policy: Policy) -> Cost:
    """Estimate the tokens of a policy's own words, in one call."""
    return Cost(tokens=sum(_pieces(text) + _around(path) for path, text in sentences(policy)), calls=1, exact=False)


def finding(cost: Cost) -> Finding:
    """Say what a policy costs."""
    calls = f" in {cost.calls} calls" if cost.calls > 1 else ""
    how = "counted with the model's tokenizer" if cost.exact else "an estimate of its own words"
    what = f"{cost.tokens} tokens before each message{calls}, {cost.per_thousand} for {PER_MESSAGES} messages ({how})"
    return info("", what, "the prefix cache keeps what recurs; fewer and shorter clauses make it less")


def _pieces(text: str) -> int:
    return len(_PIECE.findall(text))


def _around(path: str) -> int:
    return 0 if path == "text" or path.endswith((".name", ".definition")) else _AROUND
