"""Training topics that no row is about: categories that are never met. Data, no code."""

from __future__ import annotations

from typing import Final

from worker.train.policies.concept import Topic

TOPICS: Final = (
    Topic(id="CH", name="Chess Moves", definition="the moves of a chess game.", signs=("checkmate", "gambit")),
    Topic(id="KN", name="Knitting", definition="patterns for knitting.", signs=("knitting", "crochet")),
    Topic(id="TF", name="Tax Forms", definition="how to fill in a tax form.", signs=("tax form", "tax return")),
    Topic(id="BE", name="Bees", definition="keeping bees and making honey.", signs=("beehive", "beekeeper")),
    Topic(id="MU", name="Sheet Music", definition="notes of a piece of music.", signs=("sheet music", "quaver")),
    Topic(id="PC", name="Program Code", definition="code in a programming language.", signs=("javascript", "sql")),
    Topic(id="GM", name="Geometry", definition="triangles, circles and proofs.", signs=("geometry", "theorem")),
    Topic(id="SA", name="Sailing", definition="how to sail a boat.", signs=("sailboat", "regatta")),
)
