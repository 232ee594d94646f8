"""P(unsafe) from the first token of the verdict. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from worker.records import Label


def unsafe_score(logprobs: Mapping[int, float], first_tokens: Mapping[int, Label]) -> float | None:
    """Return the share of ``unsafe`` among all ways to begin a label.

    Several tokens can begin one (``u``, ``un``, ``unsafe``); their probabilities are added up, and the
    two labels' sums are brought to one.

    Args:
        logprobs: natural logarithms by token id.
        first_tokens: the tokens that begin a label.

    Returns:
        A number from 0 to 1; None where no token of these begins a label.

    """
    mass = {"safe": 0.0, "unsafe": 0.0}
    for token, logprob in logprobs.items():
        label = first_tokens.get(token)
        if label is not None:
            mass[label] += math.exp(logprob)
    total = mass["safe"] + mass["unsafe"]
    return mass["unsafe"] / total if total > 0 and math.isfinite(total) else None
