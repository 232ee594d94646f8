"""The words of evaluation: no name, id, definition or clause of it ever stands in a training policy. Pure."""

from __future__ import annotations

from typing import Final

from worker.policy.model import Panel
from worker.train.data.labels import one as label_of
from worker.train.data.taxonomy import UNSAFE, WHOLE
from worker.train.policies.concept import Concept
from worker.train.policies.heldout_concepts import CONCEPTS, TOPICS
from worker.train.policies.heldout_parts import PARTS_IN_WORDS
from worker.train.policies.heldout_taxonomy import TAXONOMY
from worker.train.policies.vocabulary import Vocabulary
from worker.train.policies.wording import Wording, category

HELDOUT: Final[dict[str, Concept]] = {concept.key: concept for concept in (*CONCEPTS, *TAXONOMY, *PARTS_IN_WORDS)}
WORDS: Final = Vocabulary(
    words=HELDOUT,
    topics=TOPICS,
    letters="HJLNPQUVWYZ",
    numbers=(40, 99),
    opaque_names=("Item", "Section"),
    pointers=("what the clauses say and no more.", "the clauses say what."),
    only=("no more than", ""),
)


def heldout_canonical(key: str) -> Wording:
    """Return the policy of one concept or part, or for the verdict of the whole taxonomy, in held-out words.

    Each is defined in the first of its words.
    """
    keys, overall = (WHOLE, UNSAFE) if key == UNSAFE else ((key,), "")
    words = [HELDOUT[name] for name in keys]
    made = tuple(category(one.ids[0], one.names[0], one.definitions[0]) for one in words)
    return Wording(panel=Panel(categories=made), senses=tuple(map(label_of, keys)), overall=overall)
