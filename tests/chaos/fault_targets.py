"""What can be struck, each by one at a time, and how: killed and started again, or stopped and woken too late."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import msgspec

from tallyhouse.local.kafka_broker import KafkaBroker
from tests.backing_services.store_process import StoreProcess
from tests.chaos.cluster_under_test import SETTINGS, UnderFire, partitions_of
from tests.chaos.fault_plan import Fault, Kind
from tests.server_process import wait_until
from tests.tallyhouse.cluster.installation import Program, is_ready

ALL = frozenset(range(int(SETTINGS["PARTITIONS"])))
PATIENCE = 180.0


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was done, and when, by one clock."""

    fault: Fault
    began: float
    let: float
    """When the process was started again, or went on."""
    ready: float

    @property
    def ready_after(self) -> float:
        return self.ready - self.let

    def overlaps(self, other: "Deed") -> bool:
        return self is not other and self.began < other.ready and other.began < self.ready


class Victim(NamedTuple):
    """One process, and whose turn it is with it."""

    name: str
    start: Callable[[], object]
    """Returns when it is ready."""
    end: Callable[[], object]
    """As a power cut would."""
    is_running: Callable[[], bool]
    turn: threading.RLock

    def kill(self, fault: Fault) -> Deed:
        """It is back after its time."""
        with self.turn:
            self.must_run()
            began = time.monotonic()
            self.end()
            time.sleep(fault.down)
            let = time.monotonic()
            self.start()
            return Deed(fault=fault, began=began, let=let, ready=time.monotonic())

    def must_run(self) -> None:
        """It was not struck by us and ended all the same: then no count is worth anything."""
        assert self.is_running(), f"the {self.name} ended by itself"


class Victims:
    """All processes of a cluster."""

    def __init__(self, cluster: UnderFire) -> None:
        self._workers = cluster.workers
        self._of = {
            Kind.GATEWAY: [_of_program(f"gateway {at}", program) for at, program in enumerate(cluster.gateways)],
            Kind.WORKER: [_of_program(f"worker {at}", program) for at, program in enumerate(cluster.workers)],
            Kind.BROKER: [_of_broker(cluster.broker)],
            Kind.STORE: [_of_store(cluster.store)],
        }

    def strike(self, fault: Fault) -> Deed:
        """Whoever is in the hands of another fault has his turn when that is over."""
        if fault.kind is Kind.ZOMBIE:
            return self._make_zombie(fault)
        return self._of[fault.kind][fault.which].kill(fault)

    def must_run(self) -> None:
        """None of them ended by itself."""
        for victims in self._of.values():
            for victim in victims:
                victim.must_run()

    def _make_zombie(self, fault: Fault) -> Deed:
        """Stop a worker that counts, until the other one has its partitions too; then let it go on."""
        zombie, other = self._workers[fault.which], self._workers[1 - fault.which]
        with ExitStack() as turns:
            for victim in self._of[Kind.WORKER]:
                turns.enter_context(victim.turn)
                victim.must_run()
            _wait(f"{zombie.url} to have a share", lambda: _share([zombie, other]))
            began = time.monotonic()
            zombie.pause()
            time.sleep(fault.down)
            _wait(f"{other.url} to take all over", lambda: partitions_of(other) == ALL)
            let = time.monotonic()
            zombie.resume()
            _wait(f"{zombie.url} to be ready", lambda: is_ready(zombie.url))
            return Deed(fault=fault, began=began, let=let, ready=time.monotonic())


def _of_program(name: str, program: Program) -> Victim:
    return Victim(name, lambda: program.start(PATIENCE), program.kill, lambda: program.is_running, threading.RLock())


def _of_broker(broker: KafkaBroker) -> Victim:
    return Victim("broker", broker.start, broker.kill, lambda: broker.pid is not None, threading.RLock())


def _of_store(store: StoreProcess) -> Victim:
    return Victim("store", store.start, store.kill, lambda: store.is_running, threading.RLock())


def _share(workers: Sequence[Program]) -> bool:
    """Each of the two counts some partitions, and together they count all."""
    one, two = map(partitions_of, workers)
    return bool(one and two) and not one & two and one | two == ALL


def _wait(what: str, condition: Callable[[], bool]) -> None:
    wait_until(what, condition, PATIENCE)
