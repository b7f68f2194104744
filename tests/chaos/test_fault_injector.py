"""Faults fall in time, and what goes wrong with one is not overlooked."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.fault_injector import Executioner
from tests.chaos.fault_plan import Fault, Kind
from tests.chaos.fault_targets import Deed, Victim
from tests.killable_process import Killable
from tests.server_process import wait_until


class Idler(Killable):
    """Does nothing, for as long as it lives."""

    def launched(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


@pytest.fixture
def idler() -> Iterator[Idler]:
    with Idler() as idler:
        yield idler


def victim_of(idler: Idler) -> Victim:
    return Victim("idler", idler.start, idler.kill, lambda: idler.is_running, threading.RLock())


def see_over(executioner: Executioner) -> None:
    executioner.go_on(0)
    wait_until("all to be over", lambda: executioner.is_over)
    executioner.go_on(0)


def fault(at: int) -> Fault:
    return Fault(kind=Kind.STORE, which=0, at=at, down=0.0)


def test_a_fault_falls_when_so_many_events_are_acked(idler: Idler) -> None:
    """Not before; and each is told once it is over."""
    victim = victim_of(idler)
    with Executioner([fault(10), fault(20)], victim.kill) as executioner:
        executioner.go_on(9)
        assert executioner.deeds == []
        executioner.go_on(15)
        wait_until("the first to be over", lambda: len(executioner.deeds) == 1)
        assert not executioner.is_over
        executioner.go_on(20)
        wait_until("all to be over", lambda: executioner.is_over)
        assert [deed.fault.at for deed in executioner.deeds] == [10, 20]
    assert idler.is_running


def test_a_process_that_ends_by_itself_ends_the_run(idler: Idler) -> None:
    """A kill that finds it dead already would hide it."""
    idler.kill()
    with (
        Executioner([fault(0)], victim_of(idler).kill) as executioner,
        pytest.raises(AssertionError, match="the idler ended by itself"),
    ):
        see_over(executioner)
    idler.start()


def test_a_process_in_the_hands_of_one_fault_waits_for_the_other(idler: Idler) -> None:
    """Two kills of it are two."""
    with Executioner([fault(0), fault(0)], victim_of(idler).kill) as executioner:
        see_over(executioner)
        one, two = executioner.deeds
    assert not one.overlaps(two)
    assert Deed(fault=fault(0), began=one.began, let=one.let, ready=two.ready).overlaps(two)
