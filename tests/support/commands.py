"""Commands of ``rsafe``, run as a user would against a test's own topics."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from tests.support import planted
from tests.support.processes import ROOT
from worker.config import Settings


async def rsafe(settings: Settings, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a command; return its exit code, standard output and standard error."""
    places = {
        "RSAFE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "RSAFE_TOPIC_PREFIX": settings.topic_prefix,
        "RSAFE_GROUP_ID": settings.group_id,
        "PLATFORM_API_KEY": planted.API_KEY,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | places,
        cwd=ROOT,
    )
    out, err = await process.communicate(stdin)
    return process.returncode or 0, out.decode(), err.decode()


async def rsafe_json(settings: Settings, *arguments: str, code: int = 0) -> Any:
    """Run a command that ends with this code, and return what it prints."""
    ended, out, err = await rsafe(settings, *arguments, "--json")
    assert ended == code, err
    return json.loads(out)
