"""``rsafe demo``: everything once, on real parts, and nothing left running."""

from __future__ import annotations

import asyncio
import json
import logging
import signal

import msgspec

from worker import jars
from worker.config import Settings
from worker.demo import report
from worker.demo.run import demo as play
from worker.demo.summary import Summary, problem
from worker.demo.view import View, make_view
from worker.errors import WorkerError


def demo(settings: Settings, *, keep: bool = False, as_json: bool = False) -> None:
    """Run the demonstration; with ``as_json`` the numbers go to standard output, all else to standard error.

    Raises:
        WorkerError: a message was lost, no verdict changed, or something did not come up.

    """
    # A client's passing troubles would only tear the picture; real ones come as errors.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with make_view(to_stderr=as_json) as view:
        # Before the event loop, where Ctrl-C still ends a download at once.
        jars.fetch(lambda text: view.loading("broker", text))
        try:
            summary = asyncio.run(_until_signal(settings, view, keep=keep))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        report.what_next(view)
    if as_json:
        print(json.dumps(msgspec.to_builtins(summary)))
    if failed := problem(summary):
        text = f"the demonstration failed: {failed}"
        raise WorkerError(text)


async def _until_signal(settings: Settings, view: View, *, keep: bool) -> Summary:
    """Let the first Ctrl-C or SIGTERM end everything in order; further ones change nothing."""
    task = asyncio.create_task(play(settings, view, keep=keep))
    asked: list[signal.Signals] = []

    def ask(number: signal.Signals) -> None:
        if not asked:
            asked.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask, number)
    return await task
