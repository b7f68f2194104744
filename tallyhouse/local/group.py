"""Servers that are started together, kept running, and stopped together."""

import asyncio
import time
from collections.abc import Sequence

from schemas.logger import NoLogger
from tallyhouse.local.kafka_jars import Tell
from tallyhouse.local.local_server import LocalServer
from tallyhouse.local.supervised_servers import Kept
from tallyhouse.runtime.supervisor import Processes


class Group:
    """Started, it must be stopped, whatever came of it."""

    def __init__(self, servers: Sequence[LocalServer], stop_seconds: float, tell: Tell) -> None:
        self._servers = {server.name: server for server in servers}
        self._kept = {server.name: Kept(server, tell) for server in servers}
        self._processes = Processes(
            list(self._kept.values()), stop_seconds=stop_seconds, logger=NoLogger(), have_run=True
        )
        self._tell = tell
        self._opened: list[LocalServer] = []
        self.keeping: asyncio.Task[int] | None = None
        """Ends by itself where one of them cannot run as it is told to; with the exit code."""

    async def start(self) -> None:
        """See all of them serve, and have them kept running from then on."""
        self._tell(f"starting {', '.join(self._servers)}")
        await asyncio.gather(*map(self._start, self._servers.values()))
        self.keeping = asyncio.create_task(self._processes.keep())

    async def stop(self) -> None:
        """Returns when none of them runs."""
        if self.keeping is not None:
            self._processes.stop()
            await self.keeping
        await asyncio.gather(*(asyncio.to_thread(server.close) for server in self._opened))

    def pid(self, name: str) -> int | None:
        """The process of one of them, while there is one."""
        return self._servers[name].pid

    def kept(self, name: str) -> Kept:
        """One of them, to be held and released."""
        return self._kept[name]

    async def _start(self, server: LocalServer) -> None:
        began = time.monotonic()
        await asyncio.to_thread(server.open)
        self._opened.append(server)
        await asyncio.to_thread(server.start)
        self._tell(f"{server.name} is up after {time.monotonic() - began:.1f} s")
