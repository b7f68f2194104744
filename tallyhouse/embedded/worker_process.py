"""The worker process: counts until the gateway stops it, and reports to the gateway ten times a second.

The gateway starts it with its own environment and with the listening sockets. The standard input carries the password,
which is also the permission to begin, and later the command to stop; signals are for the gateway (`worker_main`). The
end of the input means that the gateway is gone. The worker then exits at once, so that the next gateway finds no other
process counting in its data directory.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO

import msgspec
import uvloop

from schemas.errors import TallyhouseError
from tallyhouse.embedded.priorities import WORKER_NICENESS, lower_priority
from tallyhouse.embedded.report import BufferedMetrics, Report
from tallyhouse.embedded.worker_main import NO_PORT
from tallyhouse.embedded.worker_runtime import ListenSockets, WorkerContext, open_worker_runtime
from tallyhouse.runtime import memory
from tallyhouse.runtime.clock import now
from tallyhouse.runtime.environment import process_environment, read_settings
from tallyhouse.runtime.exit_codes import FAILED, KILLED, print_error_line
from tallyhouse.runtime.settings import EmbeddedSettings
from tallyhouse.runtime.startup import prepare_process

REPORT_INTERVAL_SECONDS = 0.1
_INPUT = 0


def main(*, has_wall: bool) -> int:
    """Runs the worker; returns its exit code. Prints the error that ended it.

    Without a wall that is needed it runs as well, and logs a warning.
    """
    try:
        _run(int(sys.argv[1]), sys.argv[2], has_wall=has_wall)
    except TallyhouseError as error:
        print_error_line(str(error))
        return FAILED
    return 0


def _run(listener: int, clients: str, *, has_wall: bool) -> None:
    lower_priority(WORKER_NICENESS)
    password = _read_line().decode()
    reports = _redirect_output()
    settings = read_settings(process_environment())
    logger = prepare_process(settings, short_switches=True)
    context = WorkerContext(clock=now, logger=logger.bind(process="worker"), metrics=BufferedMetrics())
    if not has_wall:
        context.logger.warning(
            "this system has no Landlock: statements at the ClickHouse port are checked, and the kernel does not help"
        )
    with ExitStack() as opened:
        own = opened.enter_context(socket.socket(fileno=listener))
        clickhouse_listener = None if clients == NO_PORT else opened.enter_context(socket.socket(fileno=int(clients)))
        uvloop.run(
            _process_until_stopped(settings, context, ListenSockets(own, password, clickhouse_listener), reports)
        )


async def _process_until_stopped(
    settings: EmbeddedSettings, context: WorkerContext, sockets: ListenSockets, reports: BinaryIO
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=_watch_input, args=(lambda: loop.call_soon_threadsafe(stop.set),), daemon=True).start()
    async with open_worker_runtime(settings, context, sockets) as worker:
        last = await worker.report()
        _send_report(reports, last)
        memory.freeze_garbage_collector()
        while not stop.is_set():
            await _wait_interval(stop)
            last = await worker.report()
            _send_report(reports, last)
        context.logger.info("stopping: finishing the running flushes")
    counted, samples = dict(worker.recorder.counted), worker.samples.take()
    _send_report(reports, msgspec.structs.replace(last, counted=counted, samples=samples))


async def _wait_interval(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(REPORT_INTERVAL_SECONDS):
            await stop.wait()
    except TimeoutError:
        return


def _send_report(reports: BinaryIO, report: Report) -> None:
    reports.write(msgspec.json.encode(report) + b"\n")


def _redirect_output() -> BinaryIO:
    """Returns the standard output, now for reports alone. Everything else that is printed goes to standard error."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return reports


def _watch_input(stop: Callable[[], object]) -> None:
    _read_line()
    stop()
    # The input is read on: the gateway may end before the worker has finished.
    while True:
        _read_line()


def _read_line() -> bytes:
    """Returns the next line of the input. Ends the process at the end of the input."""
    # Not through `sys.stdin`: a thread that waits there holds a lock, which the interpreter's exit would need.
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(_INPUT, 1)
        if not read:
            os._exit(KILLED)
        line += read
    return line.strip()
