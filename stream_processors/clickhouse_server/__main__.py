"""`python -m stream_processors.clickhouse_server`: the engine on a directory, for several processes of one machine."""

import argparse
import asyncio
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stream_processors.backends.sql.chdb_statements import ChdbStatements, EngineStatement
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.clickhouse_server.app import ServerContext, create_app
from stream_processors.clickhouse_server.authentication import password_check
from stream_processors.clickhouse_server.bodies import BodyLimits, open_spool
from stream_processors.clickhouse_server.full_access import FullAccess
from stream_processors.clickhouse_server.server import HOST, open_loopback_listener, run_server

_LIMITS = EngineLimits()


def main(limits: EngineLimits = _LIMITS) -> int:
    """Runs the server until SIGINT or SIGTERM. Returns the exit code."""
    arguments = _arguments()
    password = arguments.password_file.read_text().strip() if arguments.password_file else None
    arguments.path.mkdir(parents=True, exist_ok=True)
    with (
        open_loopback_listener(arguments.port) as listener,
        open_spool(arguments.path) as spool,
        ChdbStatements(arguments.path / "store", limits) as engine,
        ThreadPoolExecutor(arguments.statements, thread_name_prefix="statement") as threads,
    ):
        version, timezone = engine.run(EngineStatement(text="SELECT version(), timezone()")).body.decode().split()
        context = ServerContext(
            access=FullAccess(engine, spool, limits.statement_seconds),
            check_caller=password_check(password),
            database="default",
            threads=threads,
            spool=spool,
            limits=BodyLimits(),
            version=version,
            timezone=timezone,
            name=socket.gethostname(),
        )
        asyncio.run(_serve(context, listener))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stream_processors.clickhouse_server", description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="directory of the data")
    parser.add_argument("--port", type=int, default=8123, help="port on the loopback interface; 0 takes a free one")
    parser.add_argument("--statements", type=int, default=6, help="how many run at a time; others queue")
    parser.add_argument(
        "--password-file", type=Path, help="file with the password; without it every program here has access"
    )
    return parser.parse_args()


async def _serve(context: ServerContext, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with run_server(create_app(context), listener):
        print(f"listening on {HOST} port {listener.getsockname()[1]}", flush=True)  # noqa: T201 - the parent process waits for it
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
