"""Where each data set comes from, under which licence, and whether a product may be built on it. Pure.

``commercial`` is what the licence that came with the set grants. It is no legal advice: ``terms`` says
what else may hold for the texts. A set whose terms are unclear counts as not commercial.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

#: ``train``: rows may train and measure; ``evaluation``: they may only measure.
Use = Literal["train", "evaluation"]


class Source(Struct, frozen=True, kw_only=True):
    """One data set: for NOTICE, the data card and the model card.

    Attributes:
        title: its name.
        licence: as its authors give it.
        origin: who made it, and where it is.
        commercial: whether the licence lets a product be built on it.
        why: the reason for ``commercial``, in one clause.
        terms: what else may hold for the texts themselves; empty where nothing is known.
        use: what its rows may be used for.

    """

    title: str
    licence: str
    origin: str
    commercial: bool
    why: str
    terms: str = ""
    use: Use = "train"


_NC: Final = "NC: no commercial use"
_BY: Final = "CC BY allows it, with attribution"

#: The sets that are read from the data folder.
FOLDER_SOURCES: Final[dict[str, Source]] = {
    "convabuse": Source(
        title="ConvAbuse",
        licence="CC BY 4.0",
        origin="Cercas Curry, Abercrombie, Rieser (2021); github.com/amandacurry/convabuse",
        commercial=True,
        why=_BY,
    ),
    "davidson": Source(
        title="Hate Speech and Offensive Language",
        licence="MIT",
        origin="Davidson, Warmsley, Macy, Weber (2017); github.com/t-davidson/hate-speech-and-offensive-language",
        commercial=True,
        why="MIT allows it",
        terms="tweets: the terms of X (Twitter) may also apply to the texts, whatever the licence of the labels",
    ),
    "diasafety": Source(
        title="DiaSafety",
        licence="Apache-2.0",
        origin="Sun et al. (2022); github.com/thu-coai/DiaSafety",
        commercial=True,
        why="Apache-2.0 allows it",
        terms="contexts partly from Reddit, whose terms may also apply; answers partly written by dialogue models",
    ),
    "edos": Source(
        title="EDOS: Explainable Detection of Online Sexism",
        licence="CC0 1.0",
        origin="Kirk, Yin, Vidgen, Röttger (2023); github.com/rewire-online/edos",
        commercial=True,
        why="CC0 waives all rights of its authors",
        terms="posts from Reddit and Gab, whose terms may also apply",
    ),
    "hatemoji": Source(
        title="HatemojiBuild",
        licence="CC BY 4.0",
        origin="Kirk, Vidgen, Röttger, Thrush, Hale (2022); github.com/HannahKirk/Hatemoji",
        commercial=True,
        why=_BY,
    ),
    "sms": Source(
        title="SMS Spam Collection v.1",
        licence="free for all purposes (author's release note)",
        origin="Almeida, Gómez Hidalgo, Yamakami (2011), DocEng",
        commercial=True,
        why="the release note allows every purpose",
    ),
    "surge": Source(
        title="Surge AI toxicity sample",
        licence="MIT",
        origin="Surge AI (2022); github.com/surge-ai/toxicity",
        commercial=True,
        why="MIT allows it",
        terms="comments from social media, whose terms may also apply",
    ),
    "toxic_spans": Source(
        title="SemEval-2021 Toxic Spans",
        licence="CC0 1.0",
        origin="Pavlopoulos et al. (2021), on Civil Comments; github.com/ipavlopoulos/toxic_spans",
        commercial=True,
        why="CC0 waives all rights of its authors; Civil Comments is CC0 too",
    ),
}

#: The sets of the paper, read by name from a hub or from a local file (``papers.py``).
PAPER_SOURCES: Final[dict[str, Source]] = {
    "toxic_chat": Source(
        title="ToxicChat (0124)",
        licence="CC BY-NC 4.0",
        origin="Lin et al. (2023); lmsys/toxic-chat",
        commercial=False,
        why=_NC,
    ),
    "aegis2": Source(
        title="Aegis AI Content Safety Dataset 2.0",
        licence="CC BY 4.0",
        origin="Ghosh et al. (2025), NVIDIA; nvidia/Aegis-AI-Content-Safety-Dataset-2.0",
        commercial=True,
        why=_BY,
        terms="prompts partly from Anthropic HH-RLHF (MIT); answers written by a language model",
    ),
    "or_bench_hard": Source(
        title="OR-Bench, hard-1k",
        licence="CC BY 4.0",
        origin="Cui, Chiang, Stoica, Hsieh (2024); bench-llm/or-bench",
        commercial=True,
        why=_BY,
    ),
    "or_bench_toxic": Source(
        title="OR-Bench, toxic",
        licence="CC BY 4.0",
        origin="Cui, Chiang, Stoica, Hsieh (2024); bench-llm/or-bench",
        commercial=True,
        why=_BY,
    ),
    "beavertails": Source(
        title="BeaverTails",
        licence="CC BY-NC 4.0",
        origin="Ji et al. (2023); PKU-Alignment/BeaverTails",
        commercial=False,
        why=_NC,
    ),
    "safe_rlhf": Source(
        title="PKU-SafeRLHF",
        licence="CC BY-NC 4.0",
        origin="Ji et al. (2024); PKU-Alignment/PKU-SafeRLHF",
        commercial=False,
        why=_NC,
    ),
    "openai_moderation": Source(
        title="OpenAI moderation evaluation set",
        licence="MIT",
        origin="Markov et al. (2023); github.com/openai/moderation-api-release",
        commercial=True,
        why="MIT allows it",
        use="evaluation",
    ),
    "wildguard_test": Source(
        title="WildGuardTest",
        licence="ODC-BY, behind an access form",
        origin="Han et al. (2024), AI2; allenai/wildguardmix",
        commercial=False,
        why="the access form adds terms of responsible use; unclear, so taken as no",
        use="evaluation",
    ),
    "xstest": Source(
        title="XSTest",
        licence="CC BY 4.0",
        origin="Röttger et al. (2024); github.com/paul-rottger/xstest",
        commercial=True,
        why=_BY,
        use="evaluation",
    ),
}

#: Rows that this project wrote itself; they train and never measure.
OWN_SOURCES: Final[dict[str, Source]] = {
    "benign_identity": Source(
        title="Benign sentences that name identities",
        licence="Apache-2.0",
        origin="written for this project; worker/train/data/identity.py",
        commercial=True,
        why="our own",
    ),
    "benign_chat": Source(
        title="Benign chat messages",
        licence="Apache-2.0",
        origin="written for this project; worker/train/data/benign_chat.py",
        commercial=True,
        why="our own",
    ),
    "own_contrast": Source(
        title="Attacks and scams beside kind and honest sentences",
        licence="Apache-2.0",
        origin="written for this project; worker/train/data/contrast.py",
        commercial=True,
        why="our own",
    ),
}

SOURCES: Final[dict[str, Source]] = FOLDER_SOURCES | PAPER_SOURCES | OWN_SOURCES


def source_of(key: str) -> Source:
    """Return a set by its key; of one that is not named above nothing is known, so it counts as not commercial."""
    return SOURCES.get(key) or Source(
        title=key,
        licence="not known",
        origin="rows of one's own, not named in worker/train/data/sources.py",
        commercial=False,
        why="nothing says so",
    )
