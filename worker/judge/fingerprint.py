"""What makes a model's answers what they are, as one digest.

Two workers with equal fingerprints judge alike up to the order of floating-point sums.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from worker.judge.engine import EngineFacts
from worker.judge.template import FILE_NAME, Template
from worker.records import canonical_json, sha256_hex

#: Raised whenever the phases of ``phases.py`` ask the model something else than before.
PHASES_VERSION: Final = 1
_PATTERNS: Final = ("*.safetensors", "*.json", "*.model", "merges.txt", FILE_NAME)


def fingerprint(folder: Path, template: Template, facts: EngineFacts, budget_tokens: int) -> str:
    """Digest the model folder, the prompt's template, the engine, and how it is asked.

    Args:
        folder: weights, configuration and tokenizer; reading a big one takes a while.
        template: what is put around policy and message.
        facts: version, number format and device of the engine.
        budget_tokens: what the reasoning may take.

    """
    parts = {
        "files": _files(folder),
        "template": sha256_hex(canonical_json(template)),
        "engine": facts,
        "sampling": {"temperature": 0.0, "reasoning_max_tokens": budget_tokens},
        "phases": PHASES_VERSION,
    }
    return sha256_hex(canonical_json(parts))


def _files(folder: Path) -> dict[str, str]:
    paths = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return {path.name: _digest(path) for path in sorted(paths)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
