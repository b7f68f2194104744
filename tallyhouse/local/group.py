"""Servers that are started together, kept running, and stopped together."""

import asyncio
import time
from collections.abc import Sequence

from schemas.logger import NullLogger
from tallyhouse.local.kafka_jars import Notify
from tallyhouse.local.local_server import LocalServer
from tallyhouse.local.supervised_servers import SupervisedServer
from tallyhouse.runtime.supervisor import Supervisor


class ServerGroup:
    """Started, it must be stopped, whatever came of it."""

    def __init__(self, servers: Sequence[LocalServer], stop_seconds: float, notify: Notify) -> None:
        self._servers = {server.name: server for server in servers}
        self._supervised = {server.name: SupervisedServer(server, notify) for server in servers}
        self._supervisor = Supervisor(
            list(self._supervised.values()), stop_seconds=stop_seconds, logger=NullLogger(), have_run_before=True
        )
        self._notify = notify
        self._opened: list[LocalServer] = []
        self.supervision: asyncio.Task[int] | None = None
        """Ends by itself where one of them cannot run as it is told to; with the exit code."""

    async def start(self) -> None:
        """See all of them serve, and have them kept running from then on."""
        self._notify(f"starting {', '.join(self._servers)}")
        await asyncio.gather(*map(self._start, self._servers.values()))
        self.supervision = asyncio.create_task(self._supervisor.run_until_stopped())

    async def stop(self) -> None:
        """Returns when none of them runs."""
        if self.supervision is not None:
            self._supervisor.stop()
            await self.supervision
        await asyncio.gather(*(asyncio.to_thread(server.close) for server in self._opened))

    def pid(self, name: str) -> int | None:
        """The process of one of them, while there is one."""
        return self._servers[name].pid

    def supervised(self, name: str) -> SupervisedServer:
        """One of them, to be held and released."""
        return self._supervised[name]

    async def _start(self, server: LocalServer) -> None:
        began = time.monotonic()
        await asyncio.to_thread(server.open)
        self._opened.append(server)
        await asyncio.to_thread(server.start)
        self._notify(f"{server.name} is up after {time.monotonic() - began:.1f} s")
