"""Servers of this machine that are started together, restarted when they end, and stopped together."""

import asyncio
import signal
from collections.abc import Callable, Sequence

from schemas.logger import NullLogger
from tallyhouse.local.background_program import Notify, ProgramFailed
from tallyhouse.local.local_server import LocalServer
from tallyhouse.runtime.clock import monotonic
from tallyhouse.runtime.exit_codes import FAILED, MISCONFIGURED
from tallyhouse.runtime.supervisor import Supervisor

_POLL_SECONDS = 0.1


class SupervisedServer:
    """A running server as a program of the supervisor. Prints a line for each end and each later start."""

    def __init__(self, server: LocalServer, notify: Callable[[str], None]) -> None:
        self._server = server
        self._notify = notify
        self._is_stopping = False
        self._may_start = asyncio.Event()
        self._may_start.set()

    def suspend_restarts(self) -> None:
        """Keeps the server down once it has ended, until `resume_restarts`."""
        self._may_start.clear()

    def resume_restarts(self) -> None:
        """Starts the server, if it has ended meanwhile."""
        self._may_start.set()

    async def run(self) -> int:
        """Waits until the server ends; returns its exit code."""
        if self._server.pid is None and not await self._start():
            return FAILED
        if self._is_stopping:  # Terminated during its start.
            self._server.request_stop()
        while self._server.pid is not None:  # noqa: ASYNC110 - not our child: polled
            await asyncio.sleep(_POLL_SECONDS)
        code = self._server.exit_code
        if not self._is_stopping:
            self._notify(f"{self._server.name} ended ({_words(code)}) and {self._next_step(code)}")
        return -signal.SIGKILL if code is None else code

    def terminate(self) -> None:
        """Stops the server, or keeps it from starting."""
        self._is_stopping = True
        self._may_start.set()
        self._server.request_stop()

    def kill(self) -> None:
        self._notify(f"{self._server.name} did not stop in time and is killed")
        self._server.kill()

    def _next_step(self, code: int | None) -> str:
        if code == MISCONFIGURED:
            return f"cannot run with its settings, so everything stops; {self._server.log} says why"
        return "is restarted" if self._may_start.is_set() else "is kept down for now"

    async def _start(self) -> bool:
        await self._may_start.wait()
        if self._is_stopping:
            return False
        try:
            await asyncio.to_thread(self._server.start)
        except ProgramFailed as failed:
            if not self._is_stopping:
                self._notify(f"{failed}\n{self._server.name} is retried")
            return False
        self._notify(f"{self._server.name} is up again, as process {self._server.pid}")
        return True


def _words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {'unknown' if code is None else code}"
    return f"by signal {-code}, {signal.Signals(-code).name}"


class ServerGroup:
    """Servers that start, run and stop together. After `start`, `stop` must be called, even if `start` failed."""

    def __init__(self, servers: Sequence[LocalServer], stop_seconds: float, notify: Notify) -> None:
        self._servers = {server.name: server for server in servers}
        self._supervised = {server.name: SupervisedServer(server, notify) for server in servers}
        self._supervisor = Supervisor(
            list(self._supervised.values()), stop_seconds=stop_seconds, logger=NullLogger(), have_run_before=True
        )
        self._notify = notify
        self._opened: list[LocalServer] = []
        self.supervision: asyncio.Task[int] | None = None
        """Ends with an exit code when a server cannot run with its settings."""

    async def start(self) -> None:
        """Starts all servers, waits until they serve, and supervises them from then on."""
        self._notify(f"starting {', '.join(self._servers)}")
        await asyncio.gather(*map(self._start, self._servers.values()))
        self.supervision = asyncio.create_task(self._supervisor.run_until_stopped())

    async def stop(self) -> None:
        """Stops all servers and waits for their end."""
        if self.supervision is not None:
            self._supervisor.stop()
            await self.supervision
        await asyncio.gather(*(asyncio.to_thread(server.close) for server in self._opened))

    def pid(self, name: str) -> int | None:
        """The process of a server; None if it does not run."""
        return self._servers[name].pid

    def supervised(self, name: str) -> SupervisedServer:
        """A server, to suspend and resume its restarts."""
        return self._supervised[name]

    async def _start(self, server: LocalServer) -> None:
        began = monotonic()
        await asyncio.to_thread(server.open)
        self._opened.append(server)
        await asyncio.to_thread(server.start)
        self._notify(f"{server.name} is up after {monotonic() - began:.1f} s")
