"""Supervises several programs: restarts each that ends, after a growing pause, until it is stopped."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from schemas.logger import Logger
from tallyhouse.runtime.exit_codes import FAILED, MISCONFIGURED

_KILL_DELAY_SECONDS = 20.0
"""After their own grace, programs have this long to close what they opened."""
_MAX_BACKOFF_SECONDS = 10.0
_STABLE_SECONDS = 60.0
"""A program that ran longer than this ended for a new reason: its backoff starts over."""


class Program(Protocol):
    """A program that can be run repeatedly."""

    async def run(self) -> int:
        """Runs until the program ends; returns its exit code."""
        ...

    def terminate(self) -> None:
        """Stops the program, or keeps it from starting."""
        ...

    def kill(self) -> None:
        """Ends the program without cleanup."""
        ...


class Supervisor:
    """Restarts each program that ends, with exponential backoff."""

    def __init__(
        self, programs: Sequence[Program], *, stop_seconds: float, logger: Logger, have_run_before: bool = False
    ) -> None:
        """Programs that `have_run_before` are restarted after any failure; others not after a failed first start."""
        self._programs = programs
        self._stop_seconds = stop_seconds + _KILL_DELAY_SECONDS
        self._logger = logger
        self._have_run_before = have_run_before
        self._stopping = asyncio.Event()
        self._running: set[int] = set()

    async def run(self) -> int:
        """Runs until SIGTERM or SIGINT, or until a program cannot start; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        return await self.run_until_stopped()

    async def run_until_stopped(self) -> int:
        """Runs until `stop` is called, or until a program cannot start; returns the exit code."""
        codes = await asyncio.gather(*map(self._supervise, range(len(self._programs))))
        return max(map(abs, codes))

    def stop(self) -> None:
        """Stops all programs. Kills those that do not end within the grace."""
        self._stopping.set()
        for number in self._running:
            self._programs[number].terminate()
        asyncio.get_running_loop().call_later(self._stop_seconds, self._kill)

    async def _supervise(self, number: int) -> int:
        loop = asyncio.get_running_loop()
        failures = 1 if self._have_run_before else 0
        while not self._stopping.is_set():  # Another program may have failed before this one began.
            began = loop.time()
            code = await self._run_once(number)
            if self._stopping.is_set():
                return 0 if code == -signal.SIGTERM else code  # Stopped before it could install its handler.
            is_settled = loop.time() - began > _STABLE_SECONDS
            if code == MISCONFIGURED or (code == FAILED and not failures and not is_settled):
                self.stop()
                return code
            failures = 1 if is_settled else failures + 1
            self._logger.error("a process ended and is restarted", process=number, exit_code=code)
            await self._pause(min(0.1 * 2 ** min(failures, 10), _MAX_BACKOFF_SECONDS))
        return 0

    async def _pause(self, seconds: float) -> None:
        """Sleeps, or until `stop()`."""
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
