"""What can be struck, each by one at a time, and how: killed and started again, or stopped and woken too late."""

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

ALL = frozenset(range(int(SETTINGS["PARTITIONS"])))
PATIENCE = 180.0


class InjectedFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was done, and when, by one clock."""

    fault: PlannedFault
    began: float
    released: float
    """When the process was started again, or went on."""
    ready: float

    @property
    def ready_after(self) -> float:
        return self.ready - self.released

    def overlaps(self, other: "InjectedFault") -> bool:
        return self is not other and self.began < other.ready and other.began < self.ready


class FaultTarget(NamedTuple):
    """One process, and whose turn it is with it."""

    name: str
    start: Callable[[], object]
    """Returns when it is ready."""
    kill_process: Callable[[], object]
    """As a power cut would."""
    is_running: Callable[[], bool]
    lock: threading.RLock

    def kill(self, fault: PlannedFault) -> InjectedFault:
        """It is back after its time."""
        with self.lock:
            self.assert_running()
            began = time.monotonic()
            self.kill_process()
            time.sleep(fault.down)
            released = time.monotonic()
            self.start()
            return InjectedFault(fault=fault, began=began, released=released, ready=time.monotonic())

    def assert_running(self) -> None:
        """It was not struck by us and ended all the same: then no count is worth anything."""
        assert self.is_running(), f"the {self.name} ended by itself"


class FaultTargets:
    """All processes of a cluster."""

    def __init__(self, cluster: ClusterUnderTest) -> None:
        self._workers = cluster.workers
        self._of = {
            FaultKind.GATEWAY: [_of_program(f"gateway {at}", program) for at, program in enumerate(cluster.gateways)],
            FaultKind.WORKER: [_of_program(f"worker {at}", program) for at, program in enumerate(cluster.workers)],
            FaultKind.BROKER: [_of_broker(cluster.broker)],
            FaultKind.STORE: [_of_store(cluster.store)],
        }

    def inject(self, fault: PlannedFault) -> InjectedFault:
        """Whoever is in the hands of another fault has his turn when that is over."""
        if fault.kind is FaultKind.ZOMBIE:
            return self._make_zombie(fault)
        return self._of[fault.kind][fault.which].kill(fault)

    def assert_running(self) -> None:
        """None of them ended by itself."""
        for targets in self._of.values():
            for target in targets:
                target.assert_running()

    def _make_zombie(self, fault: PlannedFault) -> InjectedFault:
        """Stop a worker that counts, until the other one has its partitions too; then let it go on."""
        zombie, other = self._workers[fault.which], self._workers[1 - fault.which]
        with ExitStack() as locks:
            for target in self._of[FaultKind.WORKER]:
                locks.enter_context(target.lock)
                target.assert_running()
            _wait(f"{zombie.url} to have a share", lambda: _share([zombie, other]))
            began = time.monotonic()
            zombie.pause()
            time.sleep(fault.down)
            _wait(f"{other.url} to take all over", lambda: partitions_of(other) == ALL)
            released = time.monotonic()
            zombie.resume()
            _wait(f"{zombie.url} to be ready", lambda: is_ready(zombie.url))
            return InjectedFault(fault=fault, began=began, released=released, ready=time.monotonic())


def _of_program(name: str, program: ClusterProcess) -> FaultTarget:
    return FaultTarget(
        name, lambda: program.start(PATIENCE), program.kill, lambda: program.is_running, threading.RLock()
    )


def _of_broker(broker: KafkaBroker) -> FaultTarget:
    return FaultTarget("broker", broker.start, broker.kill, lambda: broker.pid is not None, threading.RLock())


def _of_store(store: StoreProcess) -> FaultTarget:
    return FaultTarget("store", store.start, store.kill, lambda: store.is_running, threading.RLock())


def _share(workers: Sequence[ClusterProcess]) -> bool:
    """Each of the two counts some partitions, and together they count all."""
    one, two = map(partitions_of, workers)
    return bool(one and two) and not one & two and one | two == ALL


def _wait(what: str, condition: Callable[[], bool]) -> None:
    wait_until(what, condition, PATIENCE)
