"""Which code makes the study's models: runs and results remember it, so that those of two versions never mix.

What only reads results afterwards is left out: the table may be written anew without training again.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

_WORKER: Final = Path(__file__).parents[2]
_FOLDERS: Final = ("data", "examples", "model", "policies", "rl", "study")
_FILES: Final = (
    "judge/parse.py",
    "judge/placeholders.py",
    "judge/prompt.py",
    "judge/template.py",
    "judge/templates/rsafe-demo.toml",
    "train/evaluation/cases.py",
    "train/recipe.py",
    "train/sft.py",
)
_AFTERWARDS: Final = frozenset({"train/study/results.py", "train/study/table.py"})
_KINDS: Final = frozenset({".py", ".toml"})


def files(root: Path = _WORKER) -> list[str]:
    """Return the files that decide what a model is and what it answers, by their path below ``root``, in order."""
    paths = (path for name in _FOLDERS for path in (root / "train" / name).rglob("*") if path.suffix in _KINDS)
    return sorted({*_FILES, *(path.relative_to(root).as_posix() for path in paths)} - _AFTERWARDS)


def digest_of(root: Path) -> str:
    """Return sixteen hexadecimal digits over names and bytes of those files."""
    whole = hashlib.sha256()
    for name in files(root):
        made = (root / name).read_bytes()
        whole.update(f"{name}\0{len(made)}\0".encode() + made)
    return whole.hexdigest()[:16]


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the digest of this program's files, read once: a later change on disk is not what is running."""
    return digest_of(_WORKER)
