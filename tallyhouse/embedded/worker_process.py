"""The worker's process: counts until it is told to stop, and tells the gateway every moment how it stands.

The gateway starts it with the settings of its own environment, and the ports open. Over the standard input come the
password, once it may begin, and the word to stop; signals are for the gateway (`worker_main`). When the input ends the
gateway is gone, and the worker with it at once: no other process can be counting here then.
"""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO

import msgspec
import uvloop

from schemas.errors import TallyhouseError
from tallyhouse.embedded.priorities import WORKER_NICENESS, lower_priority
from tallyhouse.embedded.report import BufferedMetrics, Report
from tallyhouse.embedded.worker_runtime import ListenSockets, WorkerContext, open_worker_runtime
from tallyhouse.runtime import memory
from tallyhouse.runtime.environment import read_settings
from tallyhouse.runtime.exit_codes import FAILED
from tallyhouse.runtime.logs import build_logger, forward_stdlib
from tallyhouse.runtime.settings import EmbeddedSettings

REPORT_INTERVAL_SECONDS = 0.1
"""Between two reports."""
_SWITCH_SECONDS = 0.001
_NO_PORT = "-"
_INPUT = 0
_KILLED_EXIT_CODE = 137


def main() -> int:
    """The exit code, once stopped. Why it could not go on is told first."""
    try:
        _run(int(sys.argv[1]), sys.argv[2])
    except TallyhouseError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - for the person who started the gateway
        return FAILED
    return 0


def _run(listener: int, clients: str) -> None:
    lower_priority(WORKER_NICENESS)
    password = _read_line().decode()
    reports = _redirect_output()
    settings = read_settings(os.environ)
    logger = build_logger(log_format=settings.log_format, level=settings.log_level, stream=sys.stderr, clock=_now)
    forward_stdlib(logger)
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.configure_allocator()
    context = WorkerContext(clock=_now, logger=logger.bind(process="worker"), metrics=BufferedMetrics())
    with ExitStack() as opened:
        own = opened.enter_context(socket.socket(fileno=listener))
        clickhouse_listener = None if clients == _NO_PORT else opened.enter_context(socket.socket(fileno=int(clients)))
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
        context.logger.info("stopping: finishing what is being counted")
    counted, samples = dict(worker.log.counted), worker.samples.take()
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
    """The standard output is for reports alone: whatever else is printed goes where the log lines go."""
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return reports


def _watch_input(stop: Callable[[], object]) -> None:
    """For the word to stop, and then on: the gateway may end before the worker has finished."""
    _read_line()
    stop()
    while True:
        _read_line()


def _read_line() -> bytes:
    """The next one; the end of the process where there is none. Not through `sys.stdin`: its lock would be ours."""
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(_INPUT, 1)
        if not read:
            os._exit(_KILLED_EXIT_CODE)
        line += read
    return line.strip()


def _now() -> int:
    return time.time_ns() // 1000
