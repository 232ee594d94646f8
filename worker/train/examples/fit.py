"""What a row can be asked for: the labels of its set, texts that are too long, topics that it may be about. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from worker.train.data.papers import PAPERS
from worker.train.data.rows import Row
from worker.train.data.taxonomy import UNSAFE, meant_alone
from worker.train.policies.concept import Topic
from worker.train.policies.wordings import TRAINING

#: Chat messages are short, and so is what a small network reads.
MAX_CHARS: Final = 500
#: Prompts and answers of the paper's sets are long; about the 1,024 tokens of a prompt that the authors keep.
PAPER_MAX_CHARS: Final = 4_000
#: Texts come back in each epoch.
_KEPT_TEXTS: Final = 200_000
#: What each set of the paper was labelled for: its verdict, and the categories that a row of it can be known to
#: violate. Of any other every known label is "no", so many of them would only raise what is said of all together.
PAPER_LABELS: Final[dict[str, tuple[str, ...]]] = {
    name: (UNSAFE, *sorted(() if paper.only_safe else meant_alone(paper.mapping))) for name, paper in PAPERS.items()
}


def fits(row: Row) -> bool:
    """Whether a row is short enough to be asked; what a prompt may hold is for the recipe and the engine to say."""
    return len(row.text) <= (PAPER_MAX_CHARS if row.source in PAPERS else MAX_CHARS)


def topics_beside(rows: Iterable[Row]) -> tuple[Topic, ...]:
    """Return the training topics whose words stand in none of these rows, nor in their context.

    The sets of the paper are about anything; a topic that a row may be about has no known label.
    """
    about = frozenset[int]().union(*(_about(turn.text) for row in rows for turn in row.messages))
    return tuple(topic for place, topic in enumerate(TRAINING.topics) if place not in about)


@lru_cache(maxsize=_KEPT_TEXTS)
def _about(text: str) -> frozenset[int]:
    return frozenset(place for place in range(len(TRAINING.topics)) if _signs(place).search(text))


@lru_cache(maxsize=256)
def _signs(place: int) -> re.Pattern[str]:
    signs = TRAINING.topics[place].signs
    return re.compile(r"\b(?:" + "|".join(map(re.escape, signs)) + r")(?:e?s)?\b", re.IGNORECASE)
