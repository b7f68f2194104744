"""The cluster under test: a broker, a store, two gateways and two workers, each a process of its own."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom
from typing import NamedTuple

from stream_processors.backends.sql.clickhouse_http import ClickHousePool
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from tallyhouse.local.kafka_broker import KafkaBroker
from tallyhouse.local.kafka_jars import KafkaInstallation
from tests.backing_services.store_process import StoreProcess
from tests.tallyhouse.cluster.installation import ClusterProcess, Installation

TWO = 2

# Each message is one line. The log is searched as text, because the last line may be incomplete.
_PARTITION_LOG_LINE = re.compile(
    r'"partitions": \[(?P<numbers>[\d, ]*)\], "event": "partitions (?P<what>assigned|revoked)"|"event": "ready"'
)

SETTINGS = {
    # A process that starts while the broker or the store is down waits, as it would under a supervisor.
    "CONNECT_TIMEOUT": "60s",
    "PARTITIONS": "4",
}


class ClusterUnderTest(NamedTuple):
    """Its processes run when the cluster is handed out."""

    gateways: Sequence[ClusterProcess]
    workers: Sequence[ClusterProcess]
    broker: KafkaBroker
    store: StoreProcess
    database: str

    @contextmanager
    def opened_store(self) -> Iterator[SqlClient]:
        """Connects to the usage store over ClickHouse's HTTP interface."""
        with ClickHousePool(self.store.address, 1, EngineLimits()) as server:
            yield server.database(self.database)


@contextmanager
def running_cluster(folder: Path, runtime: KafkaInstallation) -> Iterator[ClusterUnderTest]:
    """Starts the processes as an operator does, and ends all of them on leaving."""
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker(folder / "kafka", runtime, SystemRandom()))
        store = stack.enter_context(StoreProcess(folder / "store"))
        url = f"http://{store.address.host}:{store.address.port}"
        ledger = f"sqlite:///{folder / 'ledger.sqlite'}"
        installation = Installation(folder, broker.bootstrap, "chaos", url, ledger)
        installation.settings |= SETTINGS
        installation.prepare()
        gateways = [stack.enter_context(installation.gateway()) for _ in range(TWO)]
        workers = [stack.enter_context(installation.worker()) for _ in range(TWO)]
        yield ClusterUnderTest(gateways, workers, broker, store, installation.settings["CLICKHOUSE_DATABASE"])


def partitions_of(worker: ClusterProcess) -> frozenset[int]:
    """Returns what the worker's log last reports; a worker that has just restarted owns nothing."""
    owned: frozenset[int] = frozenset()
    for match in _PARTITION_LOG_LINE.finditer(worker.output()):
        numbers = frozenset(map(int, re.findall(r"\d+", match["numbers"] or "")))
        owned = owned - numbers if match["what"] == "revoked" else numbers
    return owned
