"""The processes that can fail, one fault at a time each: killed and restarted, or paused and resumed too late."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from tallyhouse.local.kafka_broker import KafkaBroker
from tests.backing_services.store_process import StoreProcess
from tests.chaos.cluster_under_test import SETTINGS, ClusterUnderTest, partitions_of
from tests.chaos.fault_plan import FaultKind, PlannedFault
from tests.server_process import wait_until
from tests.tallyhouse.cluster.installation import ClusterProcess, is_ready

ALL_PARTITIONS = frozenset(range(int(SETTINGS["PARTITIONS"])))
TIMEOUT = 180.0


class InjectedFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that has ended, with its monotonic times in seconds."""

    fault: PlannedFault
    began: float
    released: float
    """When the process was restarted or resumed."""
    ready: float

    @property
    def ready_after(self) -> float:
        return self.ready - self.released

    def overlaps(self, other: "InjectedFault") -> bool:
        return self is not other and self.began < other.ready and other.began < self.ready


class FaultTarget(NamedTuple):
    """One process, with a lock that admits one fault at a time."""

    name: str
    start: Callable[[], object]
    """Returns when the process is ready."""
    kill_process: Callable[[], object]
    """Kills with -9."""
    is_running: Callable[[], bool]
    lock: threading.RLock

    def kill(self, fault: PlannedFault) -> InjectedFault:
        """Returns when the process is ready again."""
        with self.lock:
            self.assert_running()
            began = time.monotonic()
            self.kill_process()
            time.sleep(fault.down)
            released = time.monotonic()
            self.start()
            return InjectedFault(fault=fault, began=began, released=released, ready=time.monotonic())

    def assert_running(self) -> None:
        """Raises AssertionError if the process ended without a fault: then no count proves anything."""
        assert self.is_running(), f"the {self.name} ended by itself"


class FaultTargets:
    def __init__(self, cluster: ClusterUnderTest) -> None:
        self._workers = cluster.workers
        self._targets = {
            FaultKind.GATEWAY: [_of_program(f"gateway {at}", program) for at, program in enumerate(cluster.gateways)],
            FaultKind.WORKER: [_of_program(f"worker {at}", program) for at, program in enumerate(cluster.workers)],
            FaultKind.BROKER: [_of_broker(cluster.broker)],
            FaultKind.STORE: [_of_store(cluster.store)],
        }

    def inject(self, fault: PlannedFault) -> InjectedFault:
        """Waits while another fault has the process; returns when the process is ready again."""
        if fault.kind is FaultKind.ZOMBIE:
            return self._make_zombie(fault)
        return self._targets[fault.kind][fault.which].kill(fault)

    def assert_running(self) -> None:
        """Raises AssertionError if a process ended without a fault."""
        for targets in self._targets.values():
            for target in targets:
                target.assert_running()

    def _make_zombie(self, fault: PlannedFault) -> InjectedFault:
        """Pauses a worker until the other one owns all partitions, then resumes it."""
        zombie, other = self._workers[fault.which], self._workers[1 - fault.which]
        with ExitStack() as locks:
            for target in self._targets[FaultKind.WORKER]:
                locks.enter_context(target.lock)
                target.assert_running()
            _wait(f"{zombie.url} to own some partitions", lambda: _share([zombie, other]))
            began = time.monotonic()
            zombie.pause()
            time.sleep(fault.down)
            _wait(f"{other.url} to take over all partitions", lambda: partitions_of(other) == ALL_PARTITIONS)
            released = time.monotonic()
            zombie.resume()
            _wait(f"{zombie.url} to be ready", lambda: is_ready(zombie.url))
            return InjectedFault(fault=fault, began=began, released=released, ready=time.monotonic())


def _of_program(name: str, program: ClusterProcess) -> FaultTarget:
    return FaultTarget(
        name, lambda: program.start(TIMEOUT), program.kill, lambda: program.is_running, threading.RLock()
    )


def _of_broker(broker: KafkaBroker) -> FaultTarget:
    return FaultTarget("broker", broker.start, broker.kill, lambda: broker.pid is not None, threading.RLock())


def _of_store(store: StoreProcess) -> FaultTarget:
    return FaultTarget("store", store.start, store.kill, lambda: store.is_running, threading.RLock())


def _share(workers: Sequence[ClusterProcess]) -> bool:
    """True when each worker owns some partitions, and the two own all of them."""
    one, two = map(partitions_of, workers)
    return bool(one and two) and not one & two and one | two == ALL_PARTITIONS


def _wait(what: str, condition: Callable[[], bool]) -> None:
    wait_until(what, condition, TIMEOUT)
