"""``rsafe run``: the worker in the foreground."""

from __future__ import annotations

import asyncio

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


def run(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C (returns) or until something fails that only a new process can mend.

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
    service = WorkerService(settings, judge, policies, exceptions, plane, health)
    app = build_app(settings, service, health)
    worker = Worker(app, loop=loop, override_logging=False, redirect_stdouts=False)
    try:
        worker.execute_from_commandline()
    except SystemExit:
        if service.error is not None:
            raise service.error from None
