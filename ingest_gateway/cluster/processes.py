"""Several copies of one program, kept running until told to stop."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from schemas.logs import Logger

FAILED = 1
"""Exit code of who says itself what failed. At the very first start, whoever keeps us running should hear of it."""
MISCONFIGURED = 2
"""Exit code of who cannot run as it is told to: starting it again will not help."""

_LATE_SECONDS = 20.0
"""Beyond their own grace, copies have this long to close what they opened."""
_LONGEST_PAUSE = 10.0
_LONG_ENOUGH = 60.0
"""Who ran so long ended for a new reason."""
_PR_SET_PDEATHSIG = 1


class Processes:
    """Each ended copy is started again, after a growing pause."""

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        descriptors: Sequence[int],
        stop_seconds: float,
        logger: Logger,
    ) -> None:
        """Each copy is handed the open descriptor that stands where its command does."""
        self._commands = commands
        self._descriptors = descriptors
        self._stop_seconds = stop_seconds + _LATE_SECONDS
        self._logger = logger
        self._stopping = asyncio.Event()
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a copy cannot run as told; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        codes = await asyncio.gather(*map(self._keep, range(len(self._commands))))
        return max(map(abs, codes))

    async def _keep(self, number: int) -> int:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            code = await self._run_once(number)
            if self._stopping.is_set():
                return 0 if code == -signal.SIGTERM else code  # Told to stop before it could listen to that.
            is_settled = loop.time() - began > _LONG_ENOUGH
            if code == MISCONFIGURED or (code == FAILED and not failures and not is_settled):
                self._stop()
                return code
            failures = 1 if is_settled else failures + 1
            self._logger.error("a process ended and is started again", process=number, exit_code=code)
            if await self._is_told_to_stop_within(min(0.1 * 2 ** min(failures, 10), _LONGEST_PAUSE)):
                return 0

    async def _is_told_to_stop_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _run_once(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._commands[number],
            pass_fds=[self._descriptors[number]],
            start_new_session=True,  # Ctrl-C is for the one that keeps them running.
        )
        self._running[number] = process
        if self._stopping.is_set():  # Told to while it was being started.
            self._end(process)
        try:
            return await process.wait()
        finally:
            del self._running[number]

    def _stop(self) -> None:
        self._stopping.set()
        for process in self._running.values():
            self._end(process)
        asyncio.get_running_loop().call_later(self._stop_seconds, self._kill)

    def _end(self, process: asyncio.subprocess.Process) -> None:
        with suppress(ProcessLookupError):
            process.terminate()

    def _kill(self) -> None:
        for number, process in self._running.items():
            self._logger.error("a process did not stop in time and is killed", process=number)
            with suppress(ProcessLookupError):
                process.kill()


def end_with_parent(parent: int) -> None:
    """Have this process told to stop when the one that keeps it running dies, however it dies."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def python_module(name: str, *words: object) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", name, *map(str, words)]
