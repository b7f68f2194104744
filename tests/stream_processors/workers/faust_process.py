"""A Faust worker as a separate process that tests can kill: `python -m …faust_process` and a line of JSON."""

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from schemas.logger import NullLogger
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.sql.clickhouse_http import ClickHousePool, ServerAddress
from stream_processors.backends.sql.client import GuardedAsyncSqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.faust_worker import FaustDependencies, build_faust_worker
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.wiring import WorkerPolicies
from tests.factories import make_meter
from tests.killable_process import KillableProcess
from tests.stream_processors.in_memory_pipeline import PARTITIONS, ChangingMeters

STATEMENTS = 4


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a worker's log and store."""

    servers: str
    topic: str
    store: ServerAddress
    database: str


class FaustWorkerProcess(KillableProcess):
    """Counts with one meter, from its start until it is killed."""

    def __init__(self, worker_settings: WorkerSettings) -> None:
        super().__init__()
        self._place = worker_settings

    def launch(self) -> subprocess.Popen[bytes]:
        encoded = msgspec.json.encode(self._place).decode()
        return subprocess.Popen([sys.executable, "-m", __name__, encoded])


async def count(worker_settings: WorkerSettings) -> None:
    cluster = KafkaCluster(servers=worker_settings.servers)
    meters = ChangingMeters()
    meters.add(make_meter("tokens", "sum"))
    stream = StreamSettings(
        cluster=cluster, topic=worker_settings.topic, group=worker_settings.topic, heartbeat_seconds=0.3
    )
    worker = WorkerPolicy(flush_linger=100_000, poll_seconds=0.1)
    with (
        ClickHousePool(worker_settings.store, STATEMENTS, EngineLimits()) as server,
        ThreadPoolExecutor(STATEMENTS) as threads,
    ):
        sql = GuardedAsyncSqlClient(server.database(worker_settings.database), threads)
        async with KafkaFrameLog(cluster, worker_settings.topic, PARTITIONS) as log:
            dependencies = FaustDependencies(
                log=log,
                store=GuardedStore(SqlGuardedEngine(sql)),
                months=SqlSeenMonths(sql),
                meters=meters,
                clock=lambda: time.time_ns() // 1000,
                logger=NullLogger(),
            )
            policies = WorkerPolicies(partitions=PARTITIONS, flush=FlushPolicy(filter_keys=10_000), worker=worker)
            await build_faust_worker(stream, dependencies, policies).run()


if __name__ == "__main__":
    asyncio.run(count(msgspec.json.decode(sys.argv[1], type=WorkerSettings)))
