"""Child processes: the command that runs a module, an inherited socket, and termination with the parent."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


class ChildProcess:
    """A child process that inherits an open descriptor, as a program that a supervisor can run."""

    def __init__(self, command: Sequence[str], descriptor: int) -> None:
        self._command = command
        self._descriptor = descriptor
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False

    async def run(self) -> int:
        """Runs the child until it ends; returns its exit code."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            pass_fds=[self._descriptor],
            start_new_session=True,  # Ctrl-C is for the supervisor alone.
        )
        if self._is_stopping:  # The stop was requested while the process was being created.
            self.terminate()
        return await self._process.wait()

    def terminate(self) -> None:
        """Stops the child, or keeps it from starting."""
        self._is_stopping = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()


def terminate_with_parent(parent: int) -> None:
    """Makes the kernel send SIGTERM to this process when its parent ends, for whatever reason."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def module_command(name: str, *arguments: object) -> list[str]:
    """Returns the command line of `python -m name`, with this process's interpreter."""
    return [sys.executable, "-m", name, *map(str, arguments)]
