"""``REQUIRE``: a full run cannot be green by absence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SKIPPED: Final = """
import pytest

@pytest.mark.{need}
def test_that_needs_something():
    pytest.skip("it is not here")
"""


@pytest.mark.parametrize(
    "need, required, code",
    [("broker", "", 0), ("broker", "broker,engine", 1), ("chaos", "broker,engine", 0)],
    ids=["nothing is required", "it is required", "something else is required"],
)
def test_a_skip_of_something_required_fails(tmp_path: Path, need: str, required: str, code: int) -> None:
    """A skipped test fails the run exactly when REQUIRE names what it needs, and the reason is shown."""
    (tmp_path / "test_it.py").write_text(SKIPPED.format(need=need))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest", "-p"]

    done = subprocess.run(
        [*command, "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env=os.environ | {"REQUIRE": required},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (code, True) == (done.returncode, "it is not here" in done.stdout)
