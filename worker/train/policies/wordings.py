"""What the data can teach, as the categories of policies, each in several wordings: those of training. Pure.

A concept is a meaning; a policy's category is one wording of it. The model sees many wordings, so
that it reads the policy instead of remembering ids. What is held out for evaluation is in ``heldout.py``.
"""

from __future__ import annotations

from typing import Final

from worker.train.policies.concept import Concept
from worker.train.policies.vocabulary import Vocabulary
from worker.train.policies.words_abuses import ABUSES
from worker.train.policies.words_answers import ANSWERS
from worker.train.policies.words_harms import HARMS
from worker.train.policies.words_messages import MESSAGES
from worker.train.policies.words_parts import PARTS_IN_WORDS
from worker.train.policies.words_topics import TOPICS

CONCEPTS: Final[dict[str, Concept]] = {concept.key: concept for concept in (*MESSAGES, *ANSWERS, *HARMS, *ABUSES)}
PARTS: Final[dict[str, Concept]] = {part.key: part for part in PARTS_IN_WORDS}
TRAINING: Final = Vocabulary(
    words=CONCEPTS | PARTS,
    topics=TOPICS,
    letters="ABCDEGKMRST",
    numbers=(1, 39),
    opaque_names=("Category", "Rule", "Point"),
    pointers=("only what the clauses say.", "see the clauses.", "what is named here:", "as follows."),
    only=("only", "just", "here only", ""),
    proses=(
        "Be kind to each other.",
        "Players may be loud here.",
        "This is a professional network.",
        "A market place for private sellers.",
        "Keep to the subject of the channel.",
    ),
    negations=(
        "Everything that is not {name}.",
        "Anything other than {name}.",
        "A text that has no {name}.",
        "What has nothing to do with {name}.",
        "Messages free of {name}.",
        "No {name} at all.",
        "Content that has no {name} in it.",
        "Whatever is no {name}.",
        "Not {name}.",
        "The contrary of {name}.",
        "{name} is absent.",
        "Texts of which this is not true: {definition}.",
        "Nothing of this kind: {definition}.",
        "Everything but {definition}.",
        "Anything else than {definition}.",
        "Not this: {definition}.",
        "No sign of {definition}.",
        "Unlike {definition}.",
    ),
    rests=(
        "Everything else.",
        "All the rest.",
        "Any other text.",
        "Other messages.",
        "Whatever the other clause does not name.",
        "What is not meant by the other clause.",
        "Messages that do none of this.",
        "The opposite of the other clause.",
        "Ordinary messages.",
        "Common talk.",
        "Anything that remains.",
        "All that is not named here.",
    ),
)
