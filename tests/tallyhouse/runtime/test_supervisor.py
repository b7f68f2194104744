"""A supervisor restarts programs that end, unless a restart cannot help."""

import asyncio
from collections.abc import Iterator

import pytest

from schemas.logger import NullLogger
from tallyhouse.runtime.exit_codes import FAILED, MISCONFIGURED
from tallyhouse.runtime.supervisor import Supervisor

pytestmark = pytest.mark.anyio


class ScriptedProcess:
    """Ends with each of its codes in turn; then runs until it is stopped."""

    def __init__(self, *codes: int) -> None:
        self._codes: Iterator[int] = iter(codes)
        self._stop_requested = asyncio.Event()
        self.settled = asyncio.Event()
        self.runs = 0

    async def run(self) -> int:
        self.runs += 1
        code = next(self._codes, None)
        if code is not None:
            return code
        self.settled.set()
        await self._stop_requested.wait()
        return 0

    def terminate(self) -> None:
        self._stop_requested.set()

    def kill(self) -> None:
        self._stop_requested.set()


async def test_a_program_that_ends_is_restarted_until_the_stop() -> None:
    """The other programs run on."""
    one, other = ScriptedProcess(-9, 0), ScriptedProcess()
    processes = Supervisor([one, other], stop_seconds=0, logger=NullLogger())
    supervision = asyncio.create_task(processes.run_until_stopped())
    await asyncio.wait_for(one.settled.wait(), 30)
    assert (one.runs, other.runs) == (3, 1)
    processes.stop()
    assert await supervision == 0


@pytest.mark.parametrize("code", [FAILED, MISCONFIGURED])
async def test_a_first_start_that_fails_ends_them_all(code: int) -> None:
    """The supervisor's own exit code reports it."""
    async with asyncio.timeout(5):  # Sooner than the programs would be killed.
        assert (
            await Supervisor(
                [ScriptedProcess(code), ScriptedProcess()], stop_seconds=0, logger=NullLogger()
            ).run_until_stopped()
            == code
        )


async def test_a_program_that_ran_before_is_restarted_unless_it_is_misconfigured() -> None:
    """A failure may be temporary; invalid settings are not."""
    patient, hopeless = ScriptedProcess(FAILED, FAILED), ScriptedProcess(FAILED, MISCONFIGURED)
    processes = Supervisor([patient], stop_seconds=0, logger=NullLogger(), have_run_before=True)
    supervision = asyncio.create_task(processes.run_until_stopped())
    await asyncio.wait_for(patient.settled.wait(), 30)
    processes.stop()
    assert await supervision == 0
    assert patient.runs == 3
    assert (
        await Supervisor([hopeless], stop_seconds=0, logger=NullLogger(), have_run_before=True).run_until_stopped()
        == MISCONFIGURED
    )
