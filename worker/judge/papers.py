"""What stands beside a model's weights and says what they are good for, read without an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from msgspec import Struct

from worker.judge.calibration import Calibration, load_calibration
from worker.judge.coverage import Coverage, load_coverage
from worker.judge.fingerprint import file_digests, model_key
from worker.judge.template import FILE_NAME, load_template

#: Key of ``config.json``: false where rows that forbid commercial use trained the model.
COMMERCIAL: Final = "rsafe_commercial_use"
#: Files that an export writes for people.
FOR_PEOPLE: Final = ("README.md", "NOTICE")


class Papers(Struct, frozen=True, kw_only=True):
    """What a model folder says of itself.

    Attributes:
        key: ``fingerprint.model_key``.
        own_template: whether the folder brings its template; else it is asked by the default one.
        calibration, coverage: those files; None where there are none.
        commercial: what the export says of commercial use; None where it says nothing.
        missing: which files for people are not there.

    """

    key: str
    own_template: bool
    calibration: Calibration | None
    coverage: Coverage | None
    commercial: bool | None
    missing: tuple[str, ...]


def read_papers(folder: Path) -> Papers:
    """Read the papers of a model folder; hashing a big model takes a while.

    Raises:
        ModelError: a file cannot be read, or is another model's.

    """
    template = load_template(folder)
    key = model_key(template, file_digests(folder))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Papers(
        key=key,
        own_template=(folder / FILE_NAME).is_file(),
        calibration=load_calibration(folder, key),
        coverage=load_coverage(folder, key),
        commercial=config.get(COMMERCIAL),
        missing=tuple(name for name in FOR_PEOPLE if not (folder / name).is_file()),
    )
