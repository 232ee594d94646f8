"""What a verdict says of the exceptions that took hits back. Pure; the records are in ``worker/records.py``."""

from __future__ import annotations

from msgspec import Struct


class Suppression(Struct, frozen=True, kw_only=True):
    """An exception that a message fell under, and what of its verdict it took out of the recommendation.

    ``categories`` are hits, as ``<scope>:<category id>``; ``whole`` says that it also took back what no
    category stands for: the default action and the review band.
    """

    exception: str
    digest: str
    owner: str
    categories: tuple[str, ...]
    whole: bool
