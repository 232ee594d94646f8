"""A program that starts a judge, says ``up`` and holds it: for tests that end it from outside.

python -m tests.support.engine_holder MODEL_FOLDER [NUMBER OF PROCESSES]
"""

from __future__ import annotations

import asyncio
import sys

from tests.support.judging import message, policy
from worker.config import Settings
from worker.judge.judge import RsafeJudge


async def _hold(model: str, processes: int = 1) -> None:
    judge = RsafeJudge(Settings(model=model, reasoning_max_tokens=900, tensor_parallel_size=processes))
    await judge.start()
    print("up", flush=True)
    while True:
        await asyncio.gather(*(judge.judge(message(f"number {number}"), policy()) for number in range(32)))


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], *map(int, sys.argv[2:])))
