"""Each kind of fault: what is done to the rig. A fault ends what it began; recovering is the system's affair."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tests.chaos import traffic
from tests.chaos.fleet import Worker
from tests.chaos.plan import Fault
from tests.chaos.rig import END_S, SESSION_S, Rig
from tests.chaos.watch import members
from tests.support.outside import engines_of
from tests.support.waiting import wait_until
from worker import kafka

#: The longest wait for the group to give a member up, beyond its session.
_GIVEN_UP_S: Final = SESSION_S + 14.0
#: Outcomes of the others that a sleeper misses before it wakes up, and the longest wait for them.
_MISSED: Final = 50
_MISSED_S: Final = 6.0
#: A broker without a disk ends by itself, once it writes.
_DISK_FULL_S: Final = 30.0
_WATCHDOG_S: Final = 150.0
_READY_S: Final = 300.0
_STORM_MEMBERS: Final = 4
_BURSTS: Final = 6
_BURST_STOPPED_S: Final = 0.5
_BURST_RUNNING_S: Final = 0.25


async def worker_kill(rig: Rig, fault: Fault) -> None:
    """SIGKILL; a supervisor starts it again."""
    await rig.fleet.kill(rig.fleet.pick(fault.target))
    rig.fleet.revive()


async def worker_pause(rig: Rig, fault: Fault) -> None:
    """SIGSTOP for less than a session."""
    with _stopped(rig.fleet.pick(fault.target).process.pid):
        await asyncio.sleep(fault.seconds)


async def worker_stall(rig: Rig, fault: Fault) -> None:
    """SIGSTOP until the group has given the worker up and the others went on."""
    worker = rig.fleet.pick(fault.target)
    rig.fleet.stalled[worker.instance] = fault.kind
    with _stopped(worker.process.pid):
        await _until_given_up(rig, worker)


async def network_partition(rig: Rig, fault: Fault) -> None:
    """Hold one worker's bytes until the group has given it up and the others went on; then they all arrive."""
    worker = rig.fleet.pick(fault.target)
    rig.fleet.stalled[worker.instance] = fault.kind
    rig.proxies[worker.slot].hold()
    try:
        await _until_given_up(rig, worker)
    finally:
        rig.proxies[worker.slot].release()


async def _until_given_up(rig: Rig, worker: Worker) -> None:
    async def given_up() -> bool:
        try:
            return worker.instance not in await members(rig.settings)
        except (TimeoutError, KafkaError):
            # A broker that is slow to answer has not given anybody up.
            return False

    await wait_until(given_up, _GIVEN_UP_S, what=f"the group gives {worker.instance} up", interval_s=0.3)
    await rig.until_outcomes(len(rig.watch.places) + _MISSED, _MISSED_S)


async def worker_interrupt(rig: Rig, fault: Fault) -> None:
    """Send SIGINT to the worker's whole process group, as Ctrl-C does."""
    await rig.fleet.end(rig.fleet.pick(fault.target), signal.SIGINT, END_S, group=True)
    rig.fleet.revive()


async def rolling_restart(rig: Rig, fault: Fault) -> None:
    """Replace each worker in turn, the next once all are ready again."""
    for place in range(len(rig.fleet.workers)):
        await rig.fleet.end(rig.fleet.pick(fault.target + place), signal.SIGTERM, END_S)
        rig.fleet.revive()
        await rig.fleet.until_ready()


async def rebalance_storm(rig: Rig, fault: Fault) -> None:
    """Let strangers join the group, who take partitions, read nothing and leave."""
    pause_s = fault.seconds / _STORM_MEMBERS
    async with AsyncExitStack() as stack:
        for _ in range(_STORM_MEMBERS):
            stranger = AIOKafkaConsumer(
                rig.settings.topic("messages"),
                bootstrap_servers=rig.settings.bootstrap_servers,
                group_id=rig.settings.group_id,
                enable_auto_commit=False,
                session_timeout_ms=round(SESSION_S * 1000),
                rebalance_timeout_ms=10_000,
            )
            stack.push_async_callback(kafka.close, stranger)
            # A join waits for the others, so it is begun and not awaited.
            joining = asyncio.create_task(stranger.start())
            await asyncio.wait({joining}, timeout=pause_s)
            stack.push_async_callback(_ended, joining)


async def _ended(joining: asyncio.Task[None]) -> None:
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)


async def broker_kill(rig: Rig, fault: Fault) -> None:
    """SIGKILL; the broker comes back after a while."""
    rig.broker.kill()
    await asyncio.sleep(fault.seconds)
    await rig.broker.start()


async def broker_restart(rig: Rig, fault: Fault) -> None:  # noqa: ARG001  (every fault is called alike)
    """End the broker in order and start it again."""
    await rig.broker.stop()
    await rig.broker.start()


async def broker_pause(rig: Rig, fault: Fault) -> None:
    """SIGSTOP of the broker."""
    assert rig.broker.pid is not None
    with _stopped(rig.broker.pid):
        await asyncio.sleep(fault.seconds)


async def disk_slow(rig: Rig, fault: Fault) -> None:  # noqa: ARG001  (every fault is called alike)
    """Stop and continue the broker in bursts. What writes wait for is the whole process here, not a device."""
    for _ in range(_BURSTS):
        assert rig.broker.pid is not None
        with _stopped(rig.broker.pid):
            await asyncio.sleep(_BURST_STOPPED_S)
        await asyncio.sleep(_BURST_RUNNING_S)


async def disk_full(rig: Rig, fault: Fault) -> None:
    """Let every write to a file fail: EFBIG goes the way of ENOSPC, and needs neither root nor a small disk.

    Kafka gives its only log folder up and ends; then there is room again.
    """
    assert rig.broker.pid is not None
    broker = psutil.Process(rig.broker.pid)
    broker.rlimit(psutil.RLIMIT_FSIZE, (0, broker.rlimit(psutil.RLIMIT_FSIZE)[1]))
    await wait_until(lambda: rig.broker.pid is None, _DISK_FULL_S, what="the broker ends without a disk")
    await asyncio.sleep(fault.seconds)
    await rig.broker.start()


async def network_stall(rig: Rig, fault: Fault) -> None:
    """Hold the bytes of all workers for less than a session."""
    for proxy in rig.proxies:
        proxy.hold()
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        for proxy in rig.proxies:
            proxy.release()


async def network_cut(rig: Rig, fault: Fault) -> None:
    """Cut all connections of all workers, and let none in for a while."""
    for proxy in rig.proxies:
        proxy.cut()
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        for proxy in rig.proxies:
            proxy.mend()


async def clock_jump(rig: Rig, fault: Fault) -> None:
    """Let the time of day jump, for each worker otherwise; what is sent next is judged and stamped by it."""
    for worker in rig.fleet.workers:
        rig.fleet.shift_clock(worker.slot, fault.jump_s * (worker.slot - 1))


async def poison(rig: Rig, fault: Fault) -> None:
    """Send records that are no messages."""
    await rig.send(traffic.poison(fault.target))


async def policy_change(rig: Rig, fault: Fault) -> None:  # noqa: ARG001  (every fault is called alike)
    """Publish a new floor and one that must not come into force."""
    await rig.send_policy()
    await rig.send_refused_policy()


async def engine_kill(rig: Rig, fault: Fault) -> None:
    """SIGKILL for the engine; its worker has to end, and the supervisor starts it again."""
    await _hurt_engine(rig, rig.fleet.pick(fault.target), signal.SIGKILL)


async def engine_pause(rig: Rig, fault: Fault) -> None:
    """SIGSTOP for the engine; the watchdog has to see it and to end the worker."""
    await _hurt_engine(rig, rig.fleet.pick(fault.target), signal.SIGSTOP)


async def _hurt_engine(rig: Rig, worker: Worker, number: signal.Signals) -> None:
    # A life that has just begun has its engine later.
    await wait_until(lambda: worker.ready, _READY_S, what=f"{worker.instance} is ready")
    worker.engines = engines_of(worker.process.pid)
    # Python's own helper is no engine: stopped, it could not end either.
    engine = [pid for pid in worker.engines if not any("resource_tracker" in part for part in _command(pid))]
    assert engine, "the engine is a process of its own"
    worker.asked = True
    for pid in engine:
        os.kill(pid, number)
    code = await worker.ended(_WATCHDOG_S)
    if code != 1:
        rig.fleet.trouble.append(f"{worker.instance} ended with {code} after its engine's death")
    await rig.fleet.kill(worker)
    rig.fleet.revive()


def _command(pid: int) -> list[str]:
    return psutil.Process(pid).cmdline()


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


FAULTS: Final[dict[str, Callable[[Rig, Fault], Awaitable[None]]]] = {
    "worker_kill": worker_kill,
    "worker_pause": worker_pause,
    "worker_stall": worker_stall,
    "worker_interrupt": worker_interrupt,
    "rolling_restart": rolling_restart,
    "rebalance_storm": rebalance_storm,
    "broker_kill": broker_kill,
    "broker_restart": broker_restart,
    "broker_pause": broker_pause,
    "disk_slow": disk_slow,
    "disk_full": disk_full,
    "network_stall": network_stall,
    "network_cut": network_cut,
    "network_partition": network_partition,
    "clock_jump": clock_jump,
    "poison": poison,
    "policy_change": policy_change,
    "engine_kill": engine_kill,
    "engine_pause": engine_pause,
}
