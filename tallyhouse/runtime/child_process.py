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
    """A child process that is handed an open descriptor."""

    def __init__(self, command: Sequence[str], descriptor: int) -> None:
        self._command = command
        self._descriptor = descriptor
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False

    async def run(self) -> int:
        """Until it ends; its exit code."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            pass_fds=[self._descriptor],
            start_new_session=True,  # Ctrl-C is for the one that keeps them running.
        )
        if self._is_stopping:  # Told to while it was being started.
            self.terminate()
        return await self._process.wait()

    def terminate(self) -> None:
        """Have it stop, or not begin."""
        self._is_stopping = True
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()


def terminate_with_parent(parent: int) -> None:
    """Have this process told to stop when the one that keeps it running dies, however it dies."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def module_command(name: str, *words: object) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, "-m", name, *map(str, words)]
