"""A whole cluster on this machine, opened in order of its dependencies and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import SystemRandom

import msgspec

from schemas.timestamps import SECOND
from tallyhouse.local.background_program import Notify, ProgramFailed
from tallyhouse.local.backing_services import find_backing_services
from tallyhouse.local.cluster_folder import ClusterFolder, LedgerChoice
from tallyhouse.local.kafka_node import HOST
from tallyhouse.local.services import choose_urls, cluster_environment, gateway, worker
from tallyhouse.local.supervised_servers import ServerGroup
from tallyhouse.runtime.child_process import module_command
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.environment import read_cluster_settings

_WORKER_SECONDS = 25.0
"""How long a worker may take to finish its flushes and leave its group."""


class LocalClusterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `tallyhouse cluster`."""

    folder: Path
    gateways: int = 2
    workers: int = 2
    ledger: LedgerChoice = LedgerChoice.BEST


class LocalCluster(msgspec.Struct, frozen=True, kw_only=True):
    """A running cluster."""

    folder: ClusterFolder
    settings: ClusterSettings
    gateway_urls: Sequence[str]
    worker_urls: Sequence[str]
    """For health and metrics alone."""
    ledger: str
    """The command that opens the ledger's database."""
    created_key: bool
    """True if this start made the first key."""
    servers: ServerGroup
    workers: ServerGroup
    gateways: ServerGroup

    @property
    def key(self) -> str:
        """An admin key."""
        return self.settings.bootstrap_api_key or self.folder.key_file.read_text().strip()

    async def wait(self) -> int:
        """Waits until a program stops for good, because of invalid settings; returns its exit code."""
        groups = (self.servers, self.workers, self.gateways)
        supervision = [group.supervision for group in groups if group.supervision is not None]
        done, _ = await asyncio.wait(supervision, return_when=asyncio.FIRST_COMPLETED)
        return max(task.result() for task in done)


@asynccontextmanager
async def open_local_cluster(
    options: LocalClusterOptions, environ: Mapping[str, str], notify: Notify
) -> AsyncIterator[LocalCluster]:
    """Starts everything. On exit, the gateways stop first, then the workers, then the backing services."""
    settings = _checked(environ)
    folder = ClusterFolder(options.folder.absolute())
    rng = SystemRandom()
    async with AsyncExitStack() as opened:
        opened.enter_context(folder.hold_lock())
        gateway_urls = choose_urls(settings, settings.port, "TALLYHOUSE_PORT", options.gateways, rng)
        worker_urls = choose_urls(settings, settings.metrics_port, "TALLYHOUSE_METRICS_PORT", options.workers, rng)
        services = await find_backing_services(folder, options.ledger, environ, notify, rng)
        servers = ServerGroup(services.servers, 0.0, notify)
        await _start(opened, servers)
        environment = services.environment(environ)
        created_key = await _prepare(folder, environment, notify)
        workers = ServerGroup(
            [worker(folder, environment, *each) for each in enumerate(worker_urls, 1)], _WORKER_SECONDS, notify
        )
        grace = settings.shutdown_grace / SECOND
        gateways = ServerGroup(
            [gateway(folder, environment, *each) for each in enumerate(gateway_urls, 1)], grace, notify
        )
        await _start(opened, workers, gateways)
        yield LocalCluster(
            folder=folder,
            settings=read_cluster_settings(environment),
            gateway_urls=gateway_urls,
            worker_urls=worker_urls,
            ledger=services.ledger,
            created_key=created_key,
            servers=servers,
            workers=workers,
            gateways=gateways,
        )


def _checked(environ: Mapping[str, str]) -> ClusterSettings:
    """The settings, with placeholders for addresses. Raises Misconfigured with all errors, before anything starts."""
    nowhere = {"brokers": f"{HOST}:1", "clickhouse": f"http://{HOST}:1", "ledger": "sqlite:////nowhere"}
    return read_cluster_settings(cluster_environment(environ, **nowhere))


async def _start(opened: AsyncExitStack, *groups: ServerGroup) -> None:
    """Starts all groups at the same time; they are stopped in reverse, one after the other."""
    for group in groups:
        opened.push_async_callback(group.stop)
    await asyncio.gather(*(group.start() for group in groups))


async def _prepare(folder: ClusterFolder, environ: Mapping[str, str], notify: Notify) -> bool:
    """Makes topic, tables and the first key; returns True if it made the key."""
    had_key = folder.key_file.exists()
    command = module_command("tallyhouse.local.provisioning_main", folder.path)
    with folder.log_of("preparing").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=log, stderr=log)
        code = await process.wait()
    if code:
        last_lines = folder.log_of("preparing").read_text().splitlines()[-3:]
        raise ProgramFailed("\n".join(["topic and tables could not be made:", *last_lines]))
    notify("topic and tables are at this release's version")
    return not had_key and folder.key_file.exists()
