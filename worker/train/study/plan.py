"""What the study compares, and how large it is.

Where it departs from a full training run, and from the paper (arXiv 2506.07736):

1. Every arm of a seed starts from one decoder that was warmed up as a language model of prompts; a network of a
   few million parameters cannot be prompted before that. The warm-up's loss sees no label, but its start does, as
   in ``train sft``: the first columns of the embeddings are the tokens' weights in a linear model for each set and
   concept that trains (``model/start.py``), the others directions of what they stand beside. So every arm, the
   reinforced ones too, knows from the start which words speak for which training label.
   Some heads start as those that match and copy tokens (``model/circuits.py``): an id that is copied wrong fails the
   format, only a verdict of unsafe needs one, and a reinforced arm that often gets them wrong learns to say safe.
2. The reinforced arms start from an early state of a supervised one, since such a network does not find the format
   by itself. The paper starts from an instruction-tuned model. It is the mean of ten states over ``format_span`` up
   to ``format_share`` of the training, before its rate falls: a single one sways at a full rate (mean P(unsafe) .05
   and, fifteen updates later, .39, of rows that are unsafe in .40), and one that says safe to everything has no
   variance to learn from.
3. ``sft_continued`` starts from the very state that ``rl_reasoning`` starts from and takes as many updates.
   The two differ in more than the kind of update. Prompts: reinforced ones are half safe, at least a quarter of
   rows that violate nothing, and at most 400 tokens long; supervised ones are epochs as ``train sft`` draws them.
   Size: ``prompts_per_update`` by ``group`` answers, against ``step_tokens``. Rate: ``update_rate``, constant after
   ten updates, against a warm-up to ``continued_rate`` and a fall over the last ``decay_share``. Dropout: none
   against ``dropout``. Weight decay: none against 0.05.
4. ``rl_label`` starts from the early state of ``label_category``: the reward's format asks for the ids of
   violated categories, which ``label`` never writes.
5. Examples are equal over the supervised arms; updates are not. Batches are filled by tokens, so an arm that writes
   reasoning takes more updates over the same rows. Both ``rl_label - label`` and ``rl_label - label_category``, and
   ``rl_reasoning - reasoning``, set an early state and ``updates`` reinforced ones against a supervised run of
   all epochs. ``rl_reasoning - rl_label`` has as many reinforced updates on both sides, from early states of
   unequal ones. Only ``rl_reasoning - sft_continued`` has as many updates on both sides throughout.
6. Both held-out concepts are held out of one model, and so are the sets that were labelled for nothing else, and
   the parts of other concepts that say the same. Hate itself stays: what attacks women as a group still trains as
   hate, and a definition of hate may list sex or gender among other attributes. Three seeds of seven arms are 21
   models, not 63.
7. Labels are hard: no linear teacher, no split tokens, nothing told on the way. Policies have no exchanged twins,
   none name words (``mentions``) and none lose words (``fray``). No row is our own: neither of ``identity``, nor of
   ``benign_chat`` or ``contrast``.
8. The rows are the same for all seeds. A seed changes weights, order, policies and rollouts.
9. Scores come from the training-side scorers (``model/scoring.py``) and not from an engine: starting one for each of
   21 models takes longer than judging. Answers are greedy and free, and are read by the parser that serves; an
   answer that it cannot read counts as wrong.
10. Reinforced updates are held near their start by a KL of ``kl_weight``; the paper has none. Without much of it every
    answer becomes safe: half of the prompts are, and an unsafe verdict also needs ids that are right. Chosen on dev
    rows with another seed (``README.md``, "The study").
11. A run that is told to stop does so between supervised checkpoints of a minute, or between ``update_chunk``
    reinforced updates.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from worker.train.data.labels import concept_of

Arm = Literal["label", "label_category", "reasoning", "reasoning_shuffled", "sft_continued", "rl_label", "rl_reasoning"]
ARMS: Final[tuple[Arm, ...]] = get_args(Arm)
Setting = Literal["in_domain", "near", "far", "reworded", "swapped"]
SETTINGS: Final[tuple[Setting, ...]] = get_args(Setting)
#: First minus second, on the same seeds and rows.
DIFFERENCES: Final[tuple[tuple[Arm, Arm], ...]] = (
    ("reasoning", "label"),
    ("reasoning", "reasoning_shuffled"),
    ("rl_reasoning", "sft_continued"),
    ("rl_label", "label"),
    # The arm that rl_label starts from: it writes ids, as the reward asks.
    ("rl_label", "label_category"),
    ("rl_reasoning", "rl_label"),
    ("rl_reasoning", "reasoning"),
)
STUDY_FILE: Final = Path(__file__).with_name("study.toml")
RESULTS_DIR: Final = Path(__file__).with_name("results")


class Way(Struct, frozen=True, kw_only=True):
    """How an arm is trained and asked.

    Attributes:
        reasoning: the verdict stands after a reasoning.
        cites: the ids of violated categories follow the label.
        shuffled: the reasoning is that of another row with an equal label.
        parent: the arm whose early state it starts from; None for the warmed-up decoder.
        reinforced: by GRPO, not by examples.

    """

    reasoning: bool
    cites: bool = True
    shuffled: bool = False
    parent: Arm | None = None
    reinforced: bool = False


WAYS: Final[dict[Arm, Way]] = {
    "label": Way(reasoning=False, cites=False),
    "label_category": Way(reasoning=False),
    "reasoning": Way(reasoning=True),
    "reasoning_shuffled": Way(reasoning=True, shuffled=True),
    "sft_continued": Way(reasoning=True, parent="reasoning"),
    "rl_label": Way(reasoning=False, parent="label_category", reinforced=True),
    "rl_reasoning": Way(reasoning=True, parent="reasoning", reinforced=True),
}


class HeldOut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One concept that no training label and no training policy has.

    Attributes:
        concept: it goes with all of its parts.
        parts_elsewhere: parts of other concepts that say the same.
        signs: letters that may stand in no training policy, in lower case.

    """

    concept: str
    parts_elsewhere: tuple[str, ...]
    signs: tuple[str, ...]

    def holds(self, key: str) -> bool:
        """Whether a label key is held out."""
        return concept_of(key) == self.concept or key in self.parts_elsewhere


class Study(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The size of the study; ``study.toml`` says what each number is."""

    rows: int
    rows_seed: int
    seeds: tuple[int, ...]
    max_policy_tokens: int
    max_categories: int
    min_rows: int
    vocab_size: int
    layers: int
    hidden: int
    embedding_scale: float
    dropout: float
    step_tokens: int
    warmup_epochs: int
    sft_epochs: int
    peak_rate: float
    decay_share: float
    label_weight: float
    decision_weight: float
    format_share: float
    format_span: float
    updates: int
    prompts_per_update: int
    group: int
    update_rate: float
    kl_weight: float
    continued_rate: float
    update_chunk: int
    eval_prompts: int
    test_rows: int
    heldout_rows: int
    swapped_rows: int
    near: HeldOut
    far: HeldOut

    def held_out(self, key: str) -> bool:
        """Whether a label key may not be learnt from."""
        return self.near.holds(key) or self.far.holds(key)

    @property
    def signs(self) -> tuple[str, ...]:
        """Letters that may stand in no training policy."""
        return (*self.near.signs, *self.far.signs)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over all settings; results carry them."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


def load_study(path: Path = STUDY_FILE) -> Study:
    """Read the study's settings."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Study)
