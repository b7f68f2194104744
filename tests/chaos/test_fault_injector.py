"""Faults start when they are due, and a failed one fails the run."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.fault_injector import FaultInjector
from tests.chaos.fault_plan import FaultKind, PlannedFault
from tests.chaos.fault_targets import FaultTarget, InjectedFault
from tests.killable_process import KillableProcess
from tests.server_process import wait_until


class Idler(KillableProcess):
    """Waits for signals."""

    def launch(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


@pytest.fixture
def idler() -> Iterator[Idler]:
    with Idler() as idler:
        yield idler


def target_of(idler: Idler) -> FaultTarget:
    return FaultTarget("idler", idler.start, idler.kill, lambda: idler.is_running, threading.RLock())


def await_faults(injector: FaultInjector) -> None:
    injector.inject_due(0)
    wait_until("all faults to end", lambda: injector.is_over)
    injector.inject_due(0)


def fault(at: int) -> PlannedFault:
    return PlannedFault(kind=FaultKind.STORE, which=0, at=at, down=0.0)


def test_a_fault_starts_when_enough_events_are_acknowledged(idler: Idler) -> None:
    """Not earlier; `injected` lists each fault once it has ended."""
    target = target_of(idler)
    with FaultInjector([fault(10), fault(20)], target.kill) as injector:
        injector.inject_due(9)
        assert injector.injected == []
        injector.inject_due(15)
        wait_until("the first fault to end", lambda: len(injector.injected) == 1)
        assert not injector.is_over
        injector.inject_due(20)
        wait_until("all faults to end", lambda: injector.is_over)
        assert [injection.fault.at for injection in injector.injected] == [10, 20]
    assert idler.is_running


def test_a_process_that_ends_without_a_fault_fails_the_run(idler: Idler) -> None:
    """A kill of a dead process would hide the failure."""
    idler.kill()
    with (
        FaultInjector([fault(0)], target_of(idler).kill) as injector,
        pytest.raises(AssertionError, match="the idler ended by itself"),
    ):
        await_faults(injector)
    idler.start()


def test_two_faults_of_one_process_do_not_overlap(idler: Idler) -> None:
    with FaultInjector([fault(0), fault(0)], target_of(idler).kill) as injector:
        await_faults(injector)
        one, two = injector.injected
    assert not one.overlaps(two)
    assert InjectedFault(fault=fault(0), began=one.began, released=one.released, ready=two.ready).overlaps(two)
