"""Starts the worker process, reads its reports from its standard output, and restarts it when it ends.

`serve` starts the worker before the gateway loads its own modules: both take about a second.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from schemas.errors import StoreFailed
from schemas.logger import Logger
from tallyhouse.embedded.report import Report
from tallyhouse.embedded.worker_main import NO_PORT
from tallyhouse.runtime.child_process import module_command
from tallyhouse.runtime.exit_codes import MISCONFIGURED
from tallyhouse.runtime.supervisor import Supervisor

STOP_SECONDS = 30.0
"""Grace for the flushes that are running at a stop."""

STOP = b"stop\n"

_LONGEST_LINE = 16 * 1024 * 1024

ReportHandler = Callable[[Report | None], Awaitable[None]]
"""Called with each report, and with None when the worker has ended."""


class Inherited(NamedTuple):
    """What the worker process inherits from the gateway process."""

    environ: Mapping[str, str]
    """The environment, with the settings."""
    lock: int
    """The data directory's lock: the next gateway waits until the worker has ended too."""
    listener: socket.socket
    """Where the worker serves the gateway's queries."""
    clients: socket.socket | None
    """The port for ClickHouse clients; None if it is off."""


class WorkerProcess:
    """The worker as a program that a supervisor can run.

    The worker's standard input carries the password and the command to stop. Its end means that the gateway is gone.
    """

    def __init__(self, inherited: Inherited) -> None:
        self._inherited = inherited
        self._has_process = asyncio.Event()
        self._may_start = asyncio.Event()
        self._password = ""
        self._on_report: ReportHandler | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopping = False
        self._has_reported = False

    @property
    def port(self) -> int:
        port: int = self._inherited.listener.getsockname()[1]
        return port

    @property
    def is_stopped(self) -> bool:
        """True while the system holds the process, for instance after SIGSTOP. Known on Linux only."""
        if self._process is None:
            return False
        try:
            state = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return False
        return state in "Tt"

    async def wait_for_process(self) -> None:
        """Returns when the process exists."""
        await self._has_process.wait()

    def allow_start(self, password: str, on_report: ReportHandler) -> None:
        """Lets the worker open log, ledger and store. Call it once the gateway has opened log and ledger."""
        self._password, self._on_report = password, on_report
        self._may_start.set()

    async def run(self) -> int:
        """Runs the worker until it ends; returns its exit code, or MISCONFIGURED if it never reported."""
        process = await self._start()
        await self._may_start.wait()
        assert process.stdin is not None  # noqa: S101 - a pipe was requested
        assert process.stdout is not None  # noqa: S101
        if self._on_report is None:  # Stopped before it was allowed to start.
            return await process.wait()
        with suppress(ConnectionError):
            process.stdin.write(f"{self._password}\n".encode())
            await process.stdin.drain()
        async for line in process.stdout:
            self._has_reported = True
            await self._on_report(msgspec.json.decode(line, type=Report))
        await self._on_report(None)
        code = await process.wait()
        return code if self._has_reported else MISCONFIGURED

    def terminate(self) -> None:
        """Stops the worker, or keeps it from starting."""
        self._is_stopping = True
        self._may_start.set()
        if self._process is None or self._process.stdin is None:
            return
        if self._on_report is None:
            self.kill()  # It has opened nothing yet.
            return
        with suppress(ConnectionError):
            self._process.stdin.write(STOP)

    def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _start(self) -> asyncio.subprocess.Process:
        inherited = self._inherited
        clients: list[int] = [inherited.clients.fileno()] if inherited.clients else []
        arguments: list[object] = [inherited.listener.fileno(), clients[0] if clients else NO_PORT]
        self._process = process = await asyncio.create_subprocess_exec(
            *module_command("tallyhouse.embedded.worker_main", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(inherited.environ),
            pass_fds=[inherited.listener.fileno(), inherited.lock, *clients],
            limit=_LONGEST_LINE,
        )
        self._has_process.set()
        if self._is_stopping:  # The stop was requested while the process was being created.
            self.terminate()
        return process


class SupervisedWorker(NamedTuple):
    """The worker, and the task that restarts it whenever it ends."""

    program: WorkerProcess
    supervisor: Supervisor
    supervision: "asyncio.Task[int]"

    async def wait_for(self, ready: Awaitable[None]) -> None:
        """Waits for `ready`. Raises StoreFailed if the worker could not start; its log lines state the reason."""
        starting = asyncio.ensure_future(ready)
        await asyncio.wait((starting, self.supervision), return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if self.supervision.done():
            raise StoreFailed("the worker could not start: the lines before this one say why")

    async def stop(self) -> None:
        """Stops the worker; returns when its running flushes are finished."""
        self.supervisor.stop()
        await self.supervision


@asynccontextmanager
async def supervise_worker(inherited: Inherited, logger: Logger) -> AsyncIterator[SupervisedWorker]:
    """Starts the worker, which loads its modules at once. Stops it on exit."""
    program = WorkerProcess(inherited)
    supervisor = Supervisor([program], stop_seconds=STOP_SECONDS, logger=logger)
    supervised = SupervisedWorker(program, supervisor, asyncio.create_task(supervisor.run_until_stopped()))
    try:
        await supervised.wait_for(program.wait_for_process())
        yield supervised
    finally:
        await supervised.stop()
