"""A Faust worker as a process of its own, to be killed and stopped: `python -m …faust_process` and a line of JSON."""

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from schemas.logger import NoLogger
from stream_processors.backends.log.kafka.cluster import Cluster
from stream_processors.backends.log.kafka.log import KafkaFrameLog
from stream_processors.backends.sql.clickhouse_http import HttpServer, ServerAddress
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.guarded_client import GuardedSqlThreads
from stream_processors.backends.sql.guarded_engine import SqlGuardedEngine
from stream_processors.backends.sql.seen_months import SqlSeenMonths
from stream_processors.backends.store.guarded import GuardedStore
from stream_processors.flushing.policy import FlushPolicy
from stream_processors.workers.faust_settings import StreamSettings
from stream_processors.workers.policy import WorkerPolicy
from stream_processors.workers.wiring import Outside, Policies, build_worker
from tests.factories import make_meter
from tests.killable_process import Killable
from tests.stream_processors.in_memory_pipeline import PARTITIONS, GrowingMeters

STATEMENTS = 4


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a worker finds its log and its store."""

    servers: str
    topic: str
    store: ServerAddress
    database: str


class WorkerProcess(Killable):
    """Counts with one meter, from its start until it is killed."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def launched(self) -> subprocess.Popen[bytes]:
        told = msgspec.json.encode(self._place).decode()
        return subprocess.Popen([sys.executable, "-m", __name__, told])


async def count(place: Place) -> None:
    cluster = Cluster(servers=place.servers)
    meters = GrowingMeters()
    meters.add(make_meter("tokens", "sum"))
    stream = StreamSettings(cluster=cluster, topic=place.topic, group=place.topic, heartbeat_seconds=0.3)
    worker = WorkerPolicy(flush_linger=100_000, look_seconds=0.1)
    with (
        HttpServer(place.store, STATEMENTS, EngineLimits()) as server,
        ThreadPoolExecutor(STATEMENTS) as threads,
    ):
        sql = GuardedSqlThreads(server.database(place.database), threads)
        async with KafkaFrameLog(cluster, place.topic, PARTITIONS) as log:
            outside = Outside(
                log=log,
                store=GuardedStore(SqlGuardedEngine(sql)),
                months=SqlSeenMonths(sql),
                meters=meters,
                clock=lambda: time.time_ns() // 1000,
                logger=NoLogger(),
            )
            policies = Policies(partitions=PARTITIONS, flush=FlushPolicy(filter_keys=10_000), worker=worker)
            await build_worker(stream, outside, policies).run()


if __name__ == "__main__":
    asyncio.run(count(msgspec.json.decode(sys.argv[1], type=Place)))
