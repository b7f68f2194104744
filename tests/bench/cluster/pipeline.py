"""A whole cluster on this machine, each stage in processes of its own, with the usage of each stage."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.engine_settings import EngineLimits
from tests.backing_services.kafka import local_broker
from tests.backing_services.store_process import StoreProcess
from tests.bench.cluster.resource_usage import ResourceUsage, resource_usage
from tests.tallyhouse.cluster.installation import Installation

Print = Callable[[str], None]
"""Prints a line of progress."""

_TOPIC = "bench"
_PARTS = """\
SELECT table, sum(bytes_on_disk), sum(rows) FROM system.parts WHERE database = {name:String} AND active
AND table IN ('events', 'usage', 'seen') GROUP BY table ORDER BY table"""


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of processes and partitions."""

    gateways: int = 1
    workers: int = 1
    partitions: int = 4


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """A running cluster: its addresses, and the processes of each stage."""

    url: str
    workers: Sequence[str]
    """Addresses of their metrics."""
    pids: Mapping[str, Sequence[int]]

    log: Path
    """The broker's data."""
    store: ServerAddress
    database: str

    def resource_usage(self) -> dict[str, ResourceUsage]:
        return {stage: resource_usage(pids) for stage, pids in self.pids.items()}

    def stored_bytes(self) -> dict[str, int]:
        """Returns bytes on disk of the log and of each table, and the number of events under `rows`."""
        log = sum(segment.stat().st_size for segment in self.log.glob(f"{_TOPIC}-*/*.log"))
        with ClickHousePool(self.store, 1, EngineLimits()) as server:
            parts = server.database("default").query_rows(_PARTS, {"name": self.database})
        rows = next(rows for table, _, rows in parts if table == "events")
        return {"log": log, **{table: size for table, size, _ in parts}, "rows": rows}


@contextmanager
def pipeline(folder: Path, size: Size, progress: Print) -> Iterator[Pipeline]:
    """Starts the processes, and ends them on leaving."""
    with ExitStack() as running:
        progress("starting a broker, a store, a gateway and workers")
        broker = running.enter_context(local_broker(folder / "kafka", os.environ, progress))
        store = running.enter_context(StoreProcess(folder / "store"))
        url = f"http://{store.address.host}:{store.address.port}"
        ledger = f"sqlite:///{folder / 'ledger.sqlite'}"
        installation = Installation(folder, broker.bootstrap, _TOPIC, url, ledger)
        installation.settings |= {"LOG_LEVEL": "warning", "PARTITIONS": str(size.partitions)}
        installation.prepare()
        several = {"GATEWAY_WORKERS": str(size.gateways), "METRICS_PORT": "0"}
        gateway = running.enter_context(installation.gateway(**several))
        workers = [running.enter_context(installation.worker()) for _ in range(size.workers)]
        assert broker.pid is not None
        yield Pipeline(
            url=gateway.url,
            workers=[worker.url for worker in workers],
            log=folder / "kafka" / "data",
            store=store.address,
            database=installation.settings["CLICKHOUSE_DATABASE"],
            pids={
                "gateway": [gateway.pid],
                "broker": [broker.pid],
                "worker": [worker.pid for worker in workers],
                "store": [store.pid],
            },
        )
