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
from tallyhouse.runtime.supervisor import MISCONFIGURED, Processes, python_module

STOP_SECONDS = 30.0
"""For the flushes that are running when it is told to stop."""

STOP = b"stop\n"

_LONGEST_LINE = 16 * 1024 * 1024
_NO_PORT = "-"

Hear = Callable[[Report | None], Awaitable[None]]
"""Each report as it comes; None when the worker has ended."""


class Handed(NamedTuple):
    """What the worker has of the gateway's."""

    environ: Mapping[str, str]
    """The settings as they were given."""
    lock: int
    """The data directory's: whoever comes next waits until the worker is gone too."""
    listener: socket.socket
    """Where the gateway asks."""
    clients: socket.socket | None
    """The port for ClickHouse clients, if it is on."""


class WorkerProgram:
    """Told over its standard input: the password, when to stop, and by the input's end that the gateway is gone."""

    def __init__(self, handed: Handed) -> None:
        self._handed = handed
        self._has_process = asyncio.Event()
        self._may_begin = asyncio.Event()
        self._password = ""
        self._hear: Hear | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._is_ending = False
        self._was_heard = False

    @property
    def port(self) -> int:
        """Where to ask it."""
        port: int = self._handed.listener.getsockname()[1]
        return port

    async def is_loading(self) -> None:
        """Returns when there is a process."""
        await self._has_process.wait()

    def begin(self, password: str, hear: Hear) -> None:
        """Log and ledger are open: it may open them too."""
        self._password, self._hear = password, hear
        self._may_begin.set()

    async def run(self) -> int:
        """Until it ends; its exit code. One that never got so far as to tell of itself is no use starting again."""
        process = await self._start()
        await self._may_begin.wait()
        assert process.stdin is not None  # noqa: S101 - as asked for
        assert process.stdout is not None  # noqa: S101
        if self._hear is None:  # Told to end before it was told to begin.
            return await process.wait()
        with suppress(ConnectionError):
            process.stdin.write(f"{self._password}\n".encode())
            await process.stdin.drain()
        async for line in process.stdout:
            self._was_heard = True
            await self._hear(msgspec.json.decode(line, type=Report))
        await self._hear(None)
        code = await process.wait()
        return code if self._was_heard else MISCONFIGURED

    def end(self) -> None:
        """Have it stop, or not begin."""
        self._is_ending = True
        self._may_begin.set()
        if self._process is None or self._process.stdin is None:
            return
        if self._hear is None:
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
        handed = self._handed
        clients: list[int] = [handed.clients.fileno()] if handed.clients else []
        words: list[object] = [handed.listener.fileno(), clients[0] if clients else _NO_PORT]
        self._process = process = await asyncio.create_subprocess_exec(
            *python_module("tallyhouse.embedded.worker_main", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=dict(handed.environ),
            pass_fds=[handed.listener.fileno(), handed.lock, *clients],
            limit=_LONGEST_LINE,
        )
        self._has_process.set()
        if self._is_ending:  # Told to while it was being started.
            self.end()
        return process


class KeptWorker(NamedTuple):
    """The program, and the task that starts it again whenever it ends."""

    program: WorkerProgram
    processes: Processes
    keeping: "asyncio.Task[int]"

    async def once(self, told: Awaitable[None]) -> None:
        """Returns when it has told of itself. Raises StoreFailed where it could not start: it has said why."""
        telling = asyncio.ensure_future(told)
        await asyncio.wait((telling, self.keeping), return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if self.keeping.done():
            raise StoreFailed("the worker could not start: the lines before this one tell why")

    async def stop(self) -> None:
        """It has finished what it was counting when this returns."""
        self.processes.stop()
        await self.keeping


@asynccontextmanager
async def kept_running(handed: Handed, logger: Logger) -> AsyncIterator[KeptWorker]:
    """From here on it is loading; it is stopped by the end."""
    program = WorkerProgram(handed)
    processes = Processes([program], stop_seconds=STOP_SECONDS, logger=logger)
    kept = KeptWorker(program, processes, asyncio.create_task(processes.keep()))
    try:
        await kept.once(program.is_loading())
        yield kept
    finally:
        await kept.stop()
