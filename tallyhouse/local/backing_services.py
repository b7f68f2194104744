"""The three servers that a cluster's processes need: log, usage store and ledger."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import Notify, find_kafka
from tallyhouse.local.kafka_node import HOST
from tallyhouse.local.ledger import LedgerChoice, choose_ledger
from tallyhouse.local.local_server import LocalServer
from tallyhouse.local.postgresql import PostgreSql
from tallyhouse.local.service import HttpService
from tallyhouse.local.services import usage_store
from tallyhouse.local.surroundings import cluster_environment


class BackingServices(NamedTuple):
    """Not running yet."""

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
        """How a person looks into it."""
        return self.postgresql.psql() if self.postgresql else f"sqlite3 {self.folder.sqlite}"

    def environment(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of who needs them; the broker's address is known once it has been started."""
        ledger = self.postgresql.url() if self.postgresql else f"sqlite:///{self.folder.sqlite}"
        return cluster_environment(
            environ, brokers=self.broker.bootstrap, clickhouse=self.clickhouse_url, ledger=ledger
        )


async def find_backing_services(
    folder: ClusterFolder, choice: LedgerChoice, environ: Mapping[str, str], notify: Notify, rng: Random
) -> BackingServices:
    """Raises ToolMissing, with the way to get it, where one of them cannot be run here."""
    runtime = await asyncio.to_thread(find_kafka, environ, notify)
    port = folder.store_port(rng)
    return BackingServices(
        folder=folder,
        broker=KafkaBroker(folder.kafka, runtime, rng, log=folder.log_of("kafka")),
        store=usage_store(folder, port, environ),
        clickhouse_url=f"http://{HOST}:{port}",
        postgresql=await asyncio.to_thread(choose_ledger, folder, choice, environ, notify),
    )
