"""``rsafe run``: the worker in the foreground."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import sys
from typing import NoReturn

from mode.worker import Worker
from prometheus_client import REGISTRY

from worker.config import Settings
from worker.exceptions.store import ExceptionStore
from worker.judge.build import build_judge
from worker.metrics import Metrics
from worker.policy.store import PolicyStore
from worker.stream.app import build_app
from worker.stream.health import Health
from worker.stream.plane import DataPlane
from worker.stream.service import WorkerService
from worker.stream.trier import JudgeTrier


class _Worker(Worker):
    """Faust's own signals write down what is being judged (SIGUSR1), or wait for a debugger for ever (SIGUSR2)."""

    def install_signal_handlers(self) -> None:
        super().install_signal_handlers()
        for name in (signal.SIGUSR1, signal.SIGUSR2):
            self.loop.remove_signal_handler(name)
        # Where each thread is, without any value.
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def run(settings: Settings) -> NoReturn:
    """Run until SIGTERM or Ctrl-C (ends the process) or until something fails that only a new one can mend.

    Raises:
        WorkerError: what ended the worker.

    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    health = Health()
    metrics = Metrics(REGISTRY)
    judge = build_judge(settings)
    trier = JudgeTrier(settings, judge)
    policies = PolicyStore(settings, metrics, trier=trier)
    exceptions = ExceptionStore(settings, policies, metrics)
    plane = DataPlane(settings, judge, policies, metrics, exceptions, others_busy=lambda: trier.busy)
    trier.wait_while(lambda: not plane.joined.is_set() or plane.careful)
    service = WorkerService(settings, judge, policies, exceptions, plane, health)
    app = build_app(settings, service, health)
    worker = _Worker(app, loop=loop, override_logging=False, redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    except SystemExit:
        if service.error is not None:
            raise service.error from None
    _leave()


def _leave() -> NoReturn:
    """End now: all is committed and stopped, and taking the interpreter apart beside an engine takes seconds."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
