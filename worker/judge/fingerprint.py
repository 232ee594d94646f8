"""What makes a model's answers what they are, as one digest.

Two workers with equal fingerprints judge alike up to the order of floating-point sums. There are two:
the *model key* is that of weights, tokenizer and template, and is what ``calibration.json`` and
``coverage.json`` name as their model; the *fingerprint* in verdicts is that of the whole folder, those
two files included, and of the engine and how it is asked. Figures (``metrics.json``) are in neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from worker.judge import calibration, coverage
from worker.judge.engine import EngineFacts
from worker.judge.template import FILE_NAME, Template
from worker.records import canonical_json, sha256_hex

#: Raised whenever the phases of ``phases.py`` ask the model something else than before.
PHASES_VERSION: Final = 1
_PATTERNS: Final = ("*.safetensors", "*.json", "*.model", "merges.txt", FILE_NAME)
#: Files about a model that change nothing of what it does.
_FIGURES: Final = frozenset({"metrics.json"})
#: Files made for a model after its weights are final; they name its key, so the key leaves them out.
_ATTACHED: Final = frozenset({calibration.FILE_NAME, coverage.FILE_NAME})


def fingerprint(
    folder: Path,
    template: Template,
    facts: EngineFacts,
    budget_tokens: int,
    digests: Mapping[str, str] | None = None,
    short_tokens: int = 0,
) -> str:
    """Digest the model folder, the prompt's template, the engine, and how it is asked.

    Args:
        folder: weights, configuration and tokenizer; reading a big one takes a while.
        template: what is put around policy and message.
        facts: version, number format and device of the engine.
        budget_tokens: what the reasoning may take.
        digests: those of ``file_digests``, where they are known.
        short_tokens: what a shortened reasoning may take; 0 where the budget says it.

    """
    sampling = {"temperature": 0.0, "reasoning_max_tokens": budget_tokens}
    parts = {
        "files": dict(digests) if digests is not None else file_digests(folder),
        "template": sha256_hex(canonical_json(template)),
        "engine": facts,
        "sampling": sampling | ({"short_reasoning_max_tokens": short_tokens} if short_tokens else {}),
        "phases": PHASES_VERSION,
    }
    return sha256_hex(canonical_json(parts))


def model_key(template: Template, digests: Mapping[str, str]) -> str:
    """Digest weights, configuration, tokenizer and template, whatever engine serves them.

    Args:
        template: what is put around policy and message.
        digests: those of ``file_digests``.

    """
    parts = {
        "files": {name: digest for name, digest in digests.items() if name not in _ATTACHED},
        "template": sha256_hex(canonical_json(template)),
        "phases": PHASES_VERSION,
    }
    return sha256_hex(canonical_json(parts))


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that can change a verdict, by name; reading a big model takes a while."""
    paths = {path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return {path.name: _digest(path) for path in sorted(paths) if path.name not in _FIGURES}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
