"""What a network is told on the way, beside the verdict: what each category asks, and what each text is. Pure.

A verdict is one bit for a whole policy and a whole message, and a network that starts from nothing finds
the two readings behind it only slowly. In training, small heads read them off inner layers: at a
category's (and a clause's) last token which labels it asks for, and turned round or not; at the end of a
message which of the row's known labels are true (auxiliary losses, deeply supervised; Lee et al. 2015).
The heads are dropped at the export, and nothing of the prompt changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from worker.judge.prompt import policy_text
from worker.policy.model import Panel
from worker.train.data.labels import Sense
from worker.train.examples.sample import Sample
from worker.train.policies.wording import Wording
from worker.train.policies.wordings import TRAINING

#: What a category may ask for beside the labels: words, or a topic that no row is about.
WORDS: Final = "words"
TOPIC: Final = "topic"
KEYS: Final = (*sorted(TRAINING.words), WORDS, TOPIC)
_PLACE: Final = {key: place for place, key in enumerate(KEYS)}


class Hint(Struct, frozen=True, kw_only=True):
    """What is true at one node of a family.

    Attributes:
        node: index into the family's nodes, prefix first.
        of_policy: at a category's end, where all ``2 * len(KEYS)`` values count and those not given are 0;
            else at a message's end, where only those given count.
        values: by output; the second half of a policy's outputs is for labels asked for the other way round.

    """

    node: int
    of_policy: bool
    values: Mapping[int, float]


def of_sense(sense: Sense) -> dict[int, float]:
    """Return a sense as outputs; one that asks for nothing is a topic's."""
    keys = [key if key in _PLACE else WORDS for key in sense.any_of] or [TOPIC]
    return {_PLACE[key] + len(KEYS) * sense.negated: 1.0 for key in keys}


def of_policy(wording: Wording, offsets: Sequence[tuple[int, int]], first: int) -> Iterator[Hint]:
    """Yield what each category asks, at its last token, and each clause that covers just what labels say, at its own.

    Args:
        wording: the policy.
        offsets: where each token of its text stands there, in characters.
        first: the node of the first of them.

    """
    ends = {place: node for node, (_, place) in enumerate(offsets, first)}
    covered = dict(wording.clauses)
    place = 0
    for shown, sense in zip(wording.panel.categories, wording.senses, strict=True):
        lines = policy_text(Panel(categories=(shown,))).split("\n")
        names = ["", *(f"{shown.id}/{clause.id}" for clause in (*shown.violates, *shown.allowed))]
        for number, (line, name) in enumerate(zip(lines, names, strict=True), 1):
            place += len(line)
            said = sense if number == len(lines) else covered.get(name)
            node = ends.get(place, ends.get(place + 1))
            if said is not None and node is not None:
                yield Hint(node=node, of_policy=True, values=of_sense(said))
            place += 1


def of_row(sample: Sample, gold: float, node: int) -> Hint:
    """Return what is known of a text; ``gold``: share of its own label, the rest is the teacher's."""
    known, taught = sample.row.known, sample.taught
    values = {key: gold * own + (1 - gold) * taught.get(key, float(own)) for key, own in known.items()}
    given = {_PLACE[key]: value for key, value in values.items() if key in _PLACE}
    return Hint(node=node, of_policy=False, values=given)
