"""The worker as a program that the gateway keeps running, and hears from over its standard output.

It is started first of all: what it loads takes a second, and so does what the gateway loads meanwhile.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import msgspec

from schemas.errors import StoreFailed
from schemas.logger import Logger
from tallyhouse.embedded.report import Report
from tallyhouse.runtime.child_process import module_command
from tallyhouse.runtime.exit_codes import MISCONFIGURED
from tallyhouse.runtime.supervisor import Supervisor

STOP_SECONDS = 30.0
"""For the flushes that are running when it is told to stop."""

STOP = b"stop\n"

_LONGEST_LINE = 16 * 1024 * 1024
_NO_PORT = "-"

ReportHandler = Callable[[Report | None], Awaitable[None]]
"""Each report as it comes; None when the worker has ended."""


class Inherited(NamedTuple):
    """What the worker has of the gateway's."""

    environ: Mapping[str, str]
    """The settings as they were given."""
    lock: int
    """The data directory's: whoever comes next waits until the worker is gone too."""
    listener: socket.socket
    """Where the gateway asks."""
    clients: socket.socket | None
    """The port for ClickHouse clients, if it is on."""


class WorkerProcess:
    """Told over its standard input: the password, when to stop, and by the input's end that the gateway is gone."""

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
        """Where to ask it."""
        port: int = self._inherited.listener.getsockname()[1]
        return port

    async def wait_for_process(self) -> None:
        """Returns when there is a process."""
        await self._has_process.wait()

    def allow_start(self, password: str, on_report: ReportHandler) -> None:
        """Log and ledger are open: it may open them too."""
        self._password, self._on_report = password, on_report
        self._may_start.set()

    async def run(self) -> int:
        """Until it ends; its exit code. One that never got so far as to tell of itself is no use starting again."""
        process = await self._start()
        await self._may_start.wait()
        assert process.stdin is not None  # noqa: S101 - as asked for
        assert process.stdout is not None  # noqa: S101
        if self._on_report is None:  # Told to end before it was told to begin.
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
        """Have it stop, or not begin."""
        self._is_stopping = True
        self._may_start.set()
        if self._process is None or self._process.stdin is None:
            return
        if self._on_report is None:
            self.kill()  # It has not begun.
            return
        with suppress(ConnectionError):
            self._process.stdin.write(STOP)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _start(self) -> asyncio.subprocess.Process:
        inherited = self._inherited
        clients: list[int] = [inherited.clients.fileno()] if inherited.clients else []
        words: list[object] = [inherited.listener.fileno(), clients[0] if clients else _NO_PORT]
        self._process = process = await asyncio.create_subprocess_exec(
            *module_command("tallyhouse.embedded.worker_main", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(inherited.environ),
            pass_fds=[inherited.listener.fileno(), inherited.lock, *clients],
            limit=_LONGEST_LINE,
        )
        self._has_process.set()
        if self._is_stopping:  # Told to while it was being started.
            self.terminate()
        return process


class SupervisedWorker(NamedTuple):
    """The program, and the task that starts it again whenever it ends."""

    program: WorkerProcess
    supervisor: Supervisor
    supervision: "asyncio.Task[int]"

    async def wait_for(self, ready: Awaitable[None]) -> None:
        """Returns when it has told of itself. Raises StoreFailed where it could not start: it has said why."""
        starting = asyncio.ensure_future(ready)
        await asyncio.wait((starting, self.supervision), return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        if self.supervision.done():
            raise StoreFailed("the worker could not start: the lines before this one tell why")

    async def stop(self) -> None:
        """It has finished what it was counting when this returns."""
        self.supervisor.stop()
        await self.supervision


@asynccontextmanager
async def supervise_worker(inherited: Inherited, logger: Logger) -> AsyncIterator[SupervisedWorker]:
    """From here on it is loading; it is stopped by the end."""
    program = WorkerProcess(inherited)
    supervisor = Supervisor([program], stop_seconds=STOP_SECONDS, logger=logger)
    supervised = SupervisedWorker(program, supervisor, asyncio.create_task(supervisor.run_until_stopped()))
    try:
        await supervised.wait_for(program.wait_for_process())
        yield supervised
    finally:
        await supervised.stop()
