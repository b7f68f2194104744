"""Several programs, kept running until told to stop."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from schemas.logger import Logger
from tallyhouse.runtime.exit_codes import FAILED, MISCONFIGURED

_KILL_DELAY_SECONDS = 20.0
"""Beyond their own grace, programs have this long to close what they opened."""
_LONGEST_PAUSE = 10.0
_STABLE_SECONDS = 60.0
"""Who ran so long ended for a new reason."""


class Program(Protocol):
    """What can be run again and again."""

    async def run(self) -> int:
        """Until it ends; its exit code."""
        ...

    def terminate(self) -> None:
        """Have it stop, or not begin."""
        ...

    def kill(self) -> None:
        """End it as a crash would."""
        ...


class Supervisor:
    """Each program that ended is started again, after a growing pause."""

    def __init__(
        self, programs: Sequence[Program], *, stop_seconds: float, logger: Logger, have_run_before: bool = False
    ) -> None:
        """Programs that have run well before are started again whatever fails; others are given up at the first."""
        self._programs = programs
        self._stop_seconds = stop_seconds + _KILL_DELAY_SECONDS
        self._logger = logger
        self._have_run_before = have_run_before
        self._stopping = asyncio.Event()
        self._running: set[int] = set()

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a program cannot run as told; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        return await self.run_until_stopped()

    async def run_until_stopped(self) -> int:
        """The same, until `stop` is called."""
        codes = await asyncio.gather(*map(self._supervise, range(len(self._programs))))
        return max(map(abs, codes))

    def stop(self) -> None:
        """Have all of them end; who does not is killed."""
        self._stopping.set()
        for number in self._running:
            self._programs[number].terminate()
        asyncio.get_running_loop().call_later(self._stop_seconds, self._kill)

    async def _supervise(self, number: int) -> int:
        loop = asyncio.get_running_loop()
        failures = 1 if self._have_run_before else 0
        while not self._stopping.is_set():  # Another one may have failed before this one began.
            began = loop.time()
            code = await self._run_once(number)
            if self._stopping.is_set():
                return 0 if code == -signal.SIGTERM else code  # Told to stop before it could listen to that.
            is_settled = loop.time() - began > _STABLE_SECONDS
            if code == MISCONFIGURED or (code == FAILED and not failures and not is_settled):
                self.stop()
                return code
            failures = 1 if is_settled else failures + 1
            self._logger.error("a process ended and is started again", process=number, exit_code=code)
            await self._pause(min(0.1 * 2 ** min(failures, 10), _LONGEST_PAUSE))
        return 0

    async def _pause(self, seconds: float) -> None:
        """So long, or until told to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _run_once(self, number: int) -> int:
        self._running.add(number)
        try:
            return await self._programs[number].run()
        finally:
            self._running.discard(number)

    def _kill(self) -> None:
        for number in self._running:
            self._logger.error("a process did not stop in time and is killed", process=number)
            self._programs[number].kill()
