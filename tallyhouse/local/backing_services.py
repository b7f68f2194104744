"""The backing services of a local cluster: Kafka, the usage store, and the ledger's database."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from schemas.errors import Conflict
from tallyhouse.local.background_program import Notify, ToolMissing
from tallyhouse.local.cluster_folder import ClusterFolder, LedgerChoice
from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import find_kafka
from tallyhouse.local.kafka_node import HOST
from tallyhouse.local.local_server import LocalServer
from tallyhouse.local.postgresql import PostgreSql, find_postgresql
from tallyhouse.local.services import HttpService, cluster_environment, usage_store


def choose_ledger(
    folder: ClusterFolder, choice: LedgerChoice, environ: Mapping[str, str], notify: Notify
) -> PostgreSql | None:
    """The server to run, or None for SQLite. A ledger that exists decides.

    Raises Conflict if `choice` contradicts it, and ToolMissing if PostgreSQL is required and cannot be run.
    """
    existing = _ledger_in(folder)
    if existing is not None and choice not in (LedgerChoice.BEST, existing):
        raise Conflict(f"the ledger of {folder.path} is in {existing} already: name another folder with --data")
    if LedgerChoice.SQLITE in (existing, choice):
        return None
    try:
        server = PostgreSql(folder.postgresql, find_postgresql(environ), log=folder.log_of("postgresql"))
        server.prepare()
    except ToolMissing as missing:
        if LedgerChoice.POSTGRESQL in (existing, choice):
            raise
        notify(f"the ledger is in SQLite, not PostgreSQL: {missing}")
        return None
    return server


def _ledger_in(folder: ClusterFolder) -> LedgerChoice | None:
    if folder.sqlite.exists():
        return LedgerChoice.SQLITE
    return LedgerChoice.POSTGRESQL if (folder.postgresql / "data").is_dir() else None


class BackingServices(NamedTuple):
    """The servers of a folder, not started yet."""

    folder: ClusterFolder
    broker: KafkaBroker
    store: HttpService
    clickhouse_url: str
    postgresql: PostgreSql | None

    @property
    def servers(self) -> Sequence[LocalServer]:
        return [self.broker, self.store, *([self.postgresql] if self.postgresql else [])]

    @property
    def ledger(self) -> str:
        """The command that opens the ledger's database."""
        return self.postgresql.psql() if self.postgresql else f"sqlite3 {self.folder.sqlite}"

    def environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of the cluster's processes. Needs a broker that has been started once: it chose its port."""
        ledger = self.postgresql.url() if self.postgresql else f"sqlite:///{self.folder.sqlite}"
        return cluster_environment(
            environ, brokers=self.broker.bootstrap, clickhouse=self.clickhouse_url, ledger=ledger
        )


async def find_backing_services(
    folder: ClusterFolder, choice: LedgerChoice, environ: Mapping[str, str], notify: Notify, rng: Random
) -> BackingServices:
    """Raises ToolMissing if one of the services cannot be run on this machine."""
    runtime = await asyncio.to_thread(find_kafka, environ, notify)
    port = folder.store_port(rng)
    return BackingServices(
        folder=folder,
        broker=KafkaBroker(folder.kafka, runtime, rng, log=folder.log_of("kafka")),
        store=usage_store(folder, port, environ),
        clickhouse_url=f"http://{HOST}:{port}",
        postgresql=await asyncio.to_thread(choose_ledger, folder, choice, environ, notify),
    )
