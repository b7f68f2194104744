"""A whole cluster on this machine: opened in the order in which one needs the other, closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import SystemRandom

import msgspec

from schemas.timestamps import SECOND
from tallyhouse.local.background_program import ProgramFailed
from tallyhouse.local.backing_services import find_needed
from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.local.group import Group
from tallyhouse.local.kafka_jars import Tell
from tallyhouse.local.kafka_node import HOST
from tallyhouse.local.ledger import Ledger
from tallyhouse.local.services import choose_urls, gateway, worker
from tallyhouse.local.surroundings import settings_for_all
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.environment import read_cluster_settings
from tallyhouse.runtime.supervisor import python_module

_WORKER_SECONDS = 25.0
"""How long a worker may take to end its flushes and leave its group."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for."""

    folder: Path
    gateways: int = 2
    workers: int = 2
    ledger: Ledger = Ledger.BEST


class LocalCluster(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, running."""

    folder: ClusterFolder
    settings: ClusterSettings
    gateway_urls: Sequence[str]
    worker_urls: Sequence[str]
    """Health and numbers; nothing is posted there."""
    ledger: str
    """How a person looks into it."""
    made_key: bool
    """Whether the first key was made at this start."""
    servers: Group
    workers: Group
    gateways: Group

    @property
    def key(self) -> str:
        """An admin key."""
        return self.settings.bootstrap_api_key or self.folder.key_file.read_text().strip()

    async def ended(self) -> int:
        """Until one of its programs cannot run as it is told to; the exit code."""
        groups = (self.servers, self.workers, self.gateways)
        keeping = [group.keeping for group in groups if group.keeping is not None]
        done, _ = await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
        return max(task.result() for task in done)


@asynccontextmanager
async def open_local_cluster(plan: Plan, environ: Mapping[str, str], tell: Tell) -> AsyncIterator[LocalCluster]:
    """Everything up; on leaving, first the gateways stop, then the workers, then what they need."""
    settings = _checked(environ)
    folder = ClusterFolder(plan.folder.absolute())
    chance = SystemRandom()
    async with AsyncExitStack() as opened:
        opened.enter_context(folder.owned())
        gateway_urls = choose_urls(settings, settings.port, "TALLYHOUSE_PORT", plan.gateways, chance)
        worker_urls = choose_urls(settings, settings.metrics_port, "TALLYHOUSE_METRICS_PORT", plan.workers, chance)
        needed = await find_needed(folder, plan.ledger, environ, tell, chance)
        servers = Group(needed.servers, 0.0, tell)
        await _start(opened, servers)
        told = needed.told(environ)
        made_key = await _prepare(folder, told, tell)
        workers = Group([worker(folder, told, *each) for each in enumerate(worker_urls, 1)], _WORKER_SECONDS, tell)
        grace = settings.shutdown_grace / SECOND
        gateways = Group([gateway(folder, told, *each) for each in enumerate(gateway_urls, 1)], grace, tell)
        await _start(opened, workers, gateways)
        yield LocalCluster(
            folder=folder,
            settings=read_cluster_settings(told),
            gateway_urls=gateway_urls,
            worker_urls=worker_urls,
            ledger=needed.ledger,
            made_key=made_key,
            servers=servers,
            workers=workers,
            gateways=gateways,
        )


def _checked(environ: Mapping[str, str]) -> ClusterSettings:
    """Raises Misconfigured with every mistake, before anything is started; addresses are not known yet."""
    nowhere = {"brokers": f"{HOST}:1", "clickhouse": f"http://{HOST}:1", "ledger": "sqlite:////nowhere"}
    return read_cluster_settings(settings_for_all(environ, **nowhere))


async def _start(opened: AsyncExitStack, *groups: Group) -> None:
    """All at the same time; they are stopped in reverse, one after the other."""
    for group in groups:
        opened.push_async_callback(group.stop)
    await asyncio.gather(*(group.start() for group in groups))


async def _prepare(folder: ClusterFolder, environ: Mapping[str, str], tell: Tell) -> bool:
    """Topic, tables, and whether the first key was made."""
    had_key = folder.key_file.exists()
    command = python_module("tallyhouse.local.provisioning_main", folder.path)
    with folder.log_of("preparing").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=log, stderr=log)
        code = await process.wait()
    if code:
        complaint = folder.log_of("preparing").read_text().splitlines()[-3:]
        raise ProgramFailed("\n".join(["topic and tables could not be made:", *complaint]))
    tell("topic and tables are at this release's version")
    return not had_key and folder.key_file.exists()
