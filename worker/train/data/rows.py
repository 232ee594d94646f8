"""The one format that every data set is read into."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from worker.records import Role, Turn

#: Where each set comes from, under which licence, and who made it: for NOTICE and the model card.
ATTRIBUTION: Final[dict[str, tuple[str, str, str]]] = {
    "convabuse": (
        "ConvAbuse",
        "CC BY 4.0",
        "Cercas Curry, Abercrombie, Rieser (2021); github.com/amandacurry/convabuse",
    ),
    "davidson": (
        "Hate Speech and Offensive Language",
        "MIT",
        "Davidson, Warmsley, Macy, Weber (2017); github.com/t-davidson/hate-speech-and-offensive-language",
    ),
    "diasafety": ("DiaSafety", "Apache-2.0", "Sun et al. (2022); github.com/thu-coai/DiaSafety"),
    "edos": (
        "EDOS: Explainable Detection of Online Sexism",
        "CC0 1.0",
        "Kirk, Yin, Vidgen, Röttger (2023); github.com/rewire-online/edos",
    ),
    "hatemoji": (
        "HatemojiBuild",
        "CC BY 4.0",
        "Kirk, Vidgen, Röttger, Thrush, Hale (2022); github.com/HannahKirk/Hatemoji",
    ),
    "sms": (
        "SMS Spam Collection v.1",
        "free for all purposes (author's release note)",
        "Almeida, Gómez Hidalgo, Yamakami (2011), DocEng",
    ),
    "surge": ("Surge AI toxicity sample", "MIT", "Surge AI (2022); github.com/surge-ai/toxicity"),
    "toxic_spans": (
        "SemEval-2021 Toxic Spans",
        "CC0 1.0",
        "Pavlopoulos et al. (2021), on Civil Comments; github.com/ipavlopoulos/toxic_spans",
    ),
}


class Row(Struct, frozen=True, kw_only=True):
    """One labelled text.

    Attributes:
        source: key of ``ATTRIBUTION``.
        place: ``<file>:<0-based data row>``, with ``#n`` for the nth part of a row that was cut up.
        text: what is judged, with personal data still in it; it is masked before anything is learnt.
        known: concept to label; a concept that is not there is unknown, never false.
        evidence: quotes that stand in ``text`` word for word and show why it is violating.
        keys: what ties it to other rows (conversation, context, text, pair).
        group: the connected component of its keys; set when all rows are read.

    """

    source: str
    place: str
    text: str
    known: dict[str, bool]
    role: Role = "user"
    context: tuple[Turn, ...] = ()
    evidence: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    group: str = ""
