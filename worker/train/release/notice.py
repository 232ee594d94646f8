"""Which data sets trained a model, and under which terms: NOTICE, and what the card says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from worker.train.data.sources import FOLDER_SOURCES, Source, source_of

#: Under this name the NOTICE of a checkpoint that was trained on travels along.
BASE_NOTICE: Final = "NOTICE.base"


def used(facts: Mapping[str, Any]) -> list[Source]:
    """Return the sets that trained; all of the data folder where a run did not note them."""
    keys: Iterable[str] = facts.get("learnt", {}).get("sources") or FOLDER_SOURCES
    return [source_of(key) for key in keys]


def forbidding(facts: Mapping[str, Any]) -> list[Source]:
    """Return those of them that forbid commercial use."""
    return [source_of(key) for key in facts.get("learnt", {}).get("non_commercial", ())]


def notice(facts: Mapping[str, Any]) -> str:
    """Return the attributions of every data set that trained."""
    how = "masked and relabelled" if facts.get("masked", True) else "relabelled"
    lines = [f"{facts['name']} was trained on rows of the following data sets, {how} for training.", ""]
    if facts.get("base"):
        lines += [
            f"It goes back to the checkpoint {facts['base']}, whose own licence holds for it as well; what that",
            f"checkpoint brought stands beside this file ({BASE_NOTICE}, LICENSE), where it brought any.",
            "",
        ]
    if found := forbidding(facts):
        titles = ", ".join(source.title for source in found)
        lines += [f"It must not be used commercially: {titles} do not allow it.", ""]
    return "\n".join(lines + [_attribution(source) for source in used(facts)])


def _attribution(source: Source) -> str:
    lines = [source.title, f"  Licence: {source.licence}", f"  Origin: {source.origin}"]
    lines += [f"  Commercial use: {'allowed' if source.commercial else 'not allowed'} ({source.why})"]
    lines += [f"  Terms: {source.terms}"] if source.terms else []
    return "\n".join(lines) + "\n"
