"""Files that are there whole or not at all, whoever else writes them."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, made: bytes) -> None:
    """Write beside the file and put it in its place; the part is this process's own, since seeds run side by side."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(made)
    part.replace(path)
