"""Servers of this machine as programs that are kept running, with a word to the person who watches."""

import asyncio
import signal
from collections.abc import Callable

from tallyhouse.local.background_program import ProgramFailed
from tallyhouse.local.local_server import LocalServer
from tallyhouse.runtime.supervisor import FAILED, MISCONFIGURED

_POLL_SECONDS = 0.1


class SupervisedServer:
    """A server that serves already; each later start of it is told."""

    def __init__(self, server: LocalServer, notify: Callable[[str], None]) -> None:
        self._server = server
        self._notify = notify
        self._is_stopping = False
        self._may_start = asyncio.Event()
        self._may_start.set()

    def suspend_restarts(self) -> None:
        """Once it has ended, do not start it before it is released."""
        self._may_start.clear()

    def resume_restarts(self) -> None:
        """Start it, if it has ended meanwhile."""
        self._may_start.set()

    async def run(self) -> int:
        """Until it ends; its exit code."""
        if self._server.pid is None and not await self._start():
            return FAILED
        if self._is_stopping:  # Told to while it was being started.
            self._server.request_stop()
        while self._server.pid is not None:  # noqa: ASYNC110 - its parent is its keeper: nobody tells us
            await asyncio.sleep(_POLL_SECONDS)
        code = self._server.exit_code
        if not self._is_stopping:
            self._notify(f"{self._server.name} ended ({_words(code)}) and {self._next_step(code)}")
        return -signal.SIGKILL if code is None else code

    def terminate(self) -> None:
        """Have it stop, or not begin."""
        self._is_stopping = True
        self._may_start.set()
        self._server.request_stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self._notify(f"{self._server.name} did not stop in time and is killed")
        self._server.kill()

    def _next_step(self, code: int | None) -> str:
        if code == MISCONFIGURED:
            return f"cannot run as it is told to, so everything stops; {self._server.log} says why"
        return "is started again" if self._may_start.is_set() else "is kept down for now"

    async def _start(self) -> bool:
        await self._may_start.wait()
        if self._is_stopping:
            return False
        try:
            await asyncio.to_thread(self._server.start)
        except ProgramFailed as failed:
            if not self._is_stopping:
                self._notify(f"{failed}\n{self._server.name} is tried again")
            return False
        self._notify(f"{self._server.name} is up again, as process {self._server.pid}")
        return True


def _words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {'unknown' if code is None else code}"
    return f"by signal {-code}, {signal.Signals(-code).name}"
