"""The reasoning that a training example teaches: short, made from labels and evidence. Pure, given a generator.

It walks the policy in order, says of each category whether it is met, quotes what stands in the
text, and ends with the conclusion that the template's pattern finds.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

from worker.records import Label
from worker.train.policies.draw import Wording

_SECOND_FORM: Final = 0.3


def label_of(wording: Wording, known: Mapping[str, bool]) -> Label:
    """Return the label of a row under a policy.

    Raises:
        ValueError: the policy has a category whose label is unknown for the row.

    """
    return "unsafe" if any(wording.values(known)) else "safe"


def cited(wording: Wording, known: Mapping[str, bool]) -> list[str]:
    """Return the ids of the violated categories, in the policy's order."""
    pairs = zip(wording.panel.categories, wording.values(known), strict=True)
    return [category.id for category, met in pairs if met]


def write(rng: random.Random, wording: Wording, known: Mapping[str, bool], quotes: Mapping[str, Sequence[str]]) -> str:
    """Write the reasoning.

    Args:
        rng: picks the form and the quote.
        wording: the policy.
        known: the row's labels.
        quotes: by concept, words of the masked text.

    """
    second = rng.random() < _SECOND_FORM
    steps = []
    for category, sense, met in zip(wording.panel.categories, wording.senses, wording.values(known), strict=True):
        shown = [quote for key in sense.any_of if known.get(key) for quote in quotes.get(key, ())]
        quote = f'"{rng.choice(shown)}"' if met and shown else ""
        name = f"{category.id} {category.name}"
        if second:
            steps.append(f"{name}: yes{', ' + quote if quote else ''}" if met else f"{category.id}: no")
        else:
            steps.append(f"{name} met{' by ' + quote if quote else ''}" if met else f"{category.id} not met")
    label = label_of(wording, known)
    if second:
        return f"Check {'. '.join(steps)}. {'So' if label == 'unsafe' else 'Nothing is met, so'} {label}."
    return f"{'; '.join(steps)}; so {label}."
