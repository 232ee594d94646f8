"""What a model was trained and tested on, category by category: ``coverage.json`` in its folder.

A verdict's ``unevaluated`` names the policy's categories that the model was never tested on. A
category counts as tested if one entry of the file that is ``tested`` and ``supported`` has its id and
its name, both letter for letter. Nothing looser: an id says little (a tenant's ``U7`` may be anything),
a name alone may be defined in any way, and a category that is wrongly listed costs a look while one that
is wrongly left out costs trust. Definitions are not compared. Without a file nothing is known to be
tested, so every category is unevaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import Struct

from worker.judge import beside
from worker.policy.model import EffectiveCategory

FILE_NAME: Final = "coverage.json"
_CURE: Final = "export the model again, or delete the file"


class Covered(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One concept, and under which ids and names a policy asks for it.

    Attributes:
        concept: what it is called in training; for what was never trained, its id.
        ids, names: every pair of them stands for it.
        train_rows, train_unsafe: rows that it was learnt from; labels that follow from others count.
        test_rows, test_unsafe: rows that it was measured on, with the sets' own labels.
        tested: whether those are enough to speak of a test.
        supported: false where no model of this kind may decide.
        note: why not.

    """

    concept: str
    ids: tuple[str, ...]
    names: tuple[str, ...]
    train_rows: int = 0
    train_unsafe: int = 0
    test_rows: int = 0
    test_unsafe: int = 0
    tested: bool = False
    supported: bool = True
    note: str = ""


class Coverage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """The file; ``model`` is ``fingerprint.model_key`` of the folder that it was made for."""

    model: str
    date: str
    categories: tuple[Covered, ...]

    @cached_property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """The (id, name) pairs that were tested."""
        return frozenset(
            (one, name)
            for item in self.categories
            if item.tested and item.supported
            for one in item.ids
            for name in item.names
        )


def unevaluated(coverage: Coverage | None, categories: Iterable[EffectiveCategory]) -> tuple[str, ...]:
    """Return the ids of the categories that the model was never tested on, in their order, each once."""
    tested: frozenset[tuple[str, str]] = coverage.pairs if coverage else frozenset()
    return tuple(dict.fromkeys(item.id for item in categories if (item.id, item.name) not in tested))


def read_coverage(folder: Path) -> Coverage | None:
    """Read the file of a model folder, whichever model it was made for; None where there is none.

    Raises:
        ModelError: it is not a coverage.

    """
    return beside.read(folder / FILE_NAME, Coverage, "a coverage", _CURE)


def load_coverage(folder: Path, key: str) -> Coverage | None:
    """Read what the model with this key was tested on; None where nothing says so.

    Raises:
        ModelError: the file is not a coverage, or one of another model.

    """
    return beside.of_model(read_coverage(folder), FILE_NAME, key, _CURE)
