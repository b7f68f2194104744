"""The three servers that a cluster's processes need: log, usage store and ledger."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from ingest_gateway.local.folder import ClusterFolder
from ingest_gateway.local.kafka_broker import KafkaBroker
from ingest_gateway.local.kafka_jars import Tell, kafka_runtime
from ingest_gateway.local.kafka_node import HOST
from ingest_gateway.local.ledger import Ledger, choose_ledger
from ingest_gateway.local.local_server import LocalServer
from ingest_gateway.local.postgresql import PostgreSql
from ingest_gateway.local.servers import usage_store
from ingest_gateway.local.service import Service
from ingest_gateway.local.surroundings import settings_for_all


class Needed(NamedTuple):
    """Not running yet."""

    folder: ClusterFolder
    broker: KafkaBroker
    store: Service
    clickhouse_url: str
    postgresql: PostgreSql | None

    @property
    def servers(self) -> Sequence[LocalServer]:
        return [self.broker, self.store, *([self.postgresql] if self.postgresql else [])]

    @property
    def ledger(self) -> str:
        """How a person looks into it."""
        return self.postgresql.psql() if self.postgresql else f"sqlite3 {self.folder.sqlite}"

    def told(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of who needs them; the broker's address is known once it has been started."""
        ledger = self.postgresql.url() if self.postgresql else f"sqlite:///{self.folder.sqlite}"
        return settings_for_all(environ, brokers=self.broker.bootstrap, clickhouse=self.clickhouse_url, ledger=ledger)


async def find_needed(
    folder: ClusterFolder, wish: Ledger, environ: Mapping[str, str], tell: Tell, chance: Random
) -> Needed:
    """Raises ToolMissing, with the way to get it, where one of them cannot be run here."""
    runtime = await asyncio.to_thread(kafka_runtime, environ, tell)
    port = folder.store_port(chance)
    return Needed(
        folder=folder,
        broker=KafkaBroker(folder.kafka, runtime, chance, log=folder.log_of("kafka")),
        store=usage_store(folder, port, environ),
        clickhouse_url=f"http://{HOST}:{port}",
        postgresql=await asyncio.to_thread(choose_ledger, folder, wish, environ, tell),
    )
