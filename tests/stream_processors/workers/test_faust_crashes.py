"""Worker processes, killed and stopped at any moment: their unfinished flushes are redone, and nothing is doubled."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from schemas.frame import NewFrame, encode
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.sink import KafkaSink
from stream_processors.backends.log.kafka.topic import Topic, create_topic
from stream_processors.backends.sql.clickhouse_http import ClickHouseDatabase, ClickHousePool
from tests.conftest import HttpDatabases
from tests.factories import make_batch, make_event
from tests.stream_processors.in_memory_pipeline import PARTITIONS, partition_of_event
from tests.stream_processors.workers.faust_process import FaustWorkerProcess, WorkerSettings

pytestmark = [pytest.mark.anyio, pytest.mark.long]

DEADLINE = 90.0


class Traffic:
    """Events with retries, posted while workers start and stop, and the store's rows of them."""

    def __init__(self, sink: KafkaSink, database: ClickHouseDatabase, worker_settings: WorkerSettings) -> None:
        self.worker_settings = worker_settings
        self._sink = sink
        self._database = database
        self._posted = 0

    async def post(self, count: int) -> None:
        """Posts new events, and those of the post before again."""
        events = [
            make_event(f"key_{n}", {"tokens": n}) for n in range(max(self._posted - count, 0), self._posted + count)
        ]
        arrival = time.time_ns() // 1000
        await self._sink.append(
            [
                NewFrame(partition=number, arrival=arrival, payload=encode(make_batch(chosen)))
                for number in range(PARTITIONS)
                if (chosen := [event for event in events if partition_of_event(event) == number])
            ]
        )
        self._posted += count

    async def flow(self, seconds: float) -> None:
        """Posts for that many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.post(20)
            await asyncio.sleep(0.05)

    async def assert_exact(self) -> None:
        """Every event is counted in the end, and none twice: in the sums, the raw events and the seen keys."""
        total = sum(range(self._posted))
        wanted = (Decimal(total), self._posted, self._posted, self._posted, self._posted)
        deadline = time.monotonic() + DEADLINE
        while (found := await asyncio.to_thread(self._found)) != wanted:
            assert time.monotonic() < deadline, f"{found}, not {wanted}"
            await asyncio.sleep(0.2)

    async def goes_on(self) -> None:
        """Posts until new flushes are claimed."""
        before, deadline = await asyncio.to_thread(self._claims), time.monotonic() + DEADLINE
        while await asyncio.to_thread(self._claims) < before + PARTITIONS:
            assert time.monotonic() < deadline, "nothing is counted any more"
            await self.flow(0.2)

    def _claims(self) -> int:
        return int(self._database.query_rows("SELECT count() FROM flushes WHERE kind = 'claim'")[0][0])

    def _found(self) -> Sequence[object]:
        sums = self._database.query_rows("SELECT sum(sum), sum(count) FROM usage WHERE meter = 'tokens'")[0]
        events = self._database.query_rows("SELECT count(), uniqExact(key_hash) FROM events")[0]
        seen = self._database.query_rows("SELECT count() FROM seen")[0]
        return (*sums, *events, *seen)


@asynccontextmanager
async def traffic(
    servers: str, topic: str, server: ClickHousePool, http_databases: HttpDatabases
) -> AsyncIterator[Traffic]:
    database = http_databases()
    name = str(database.query_rows("SELECT currentDatabase()")[0][0])
    cluster = KafkaCluster(servers=servers)
    await create_topic(cluster, Topic(name=topic, partitions=PARTITIONS, replication_factor=1, min_insync_replicas=1))
    async with KafkaSink(cluster, topic) as sink:
        yield Traffic(sink, database, WorkerSettings(servers=servers, topic=topic, store=server.address, database=name))


async def test_a_killed_worker_s_frames_are_redone(
    real_broker: str, topic_name: Callable[[], str], server: ClickHousePool, http_databases: HttpDatabases
) -> None:
    """Two workers, killed in turn during traffic: the other takes over, and nothing is lost or doubled."""
    async with traffic(real_broker, topic_name(), server, http_databases) as flowing:
        with (
            FaustWorkerProcess(flowing.worker_settings) as first,
            FaustWorkerProcess(flowing.worker_settings) as second,
        ):
            for worker in (first, second):
                await flowing.goes_on()
                worker.kill()
                await flowing.goes_on()
                worker.start()
            await flowing.flow(1.0)
            await flowing.assert_exact()


async def test_a_zombie_does_no_harm(
    real_broker: str, topic_name: Callable[[], str], server: ClickHousePool, http_databases: HttpDatabases
) -> None:
    """Suspended during traffic until another worker has taken over, then resumed: the guards stop it."""
    async with traffic(real_broker, topic_name(), server, http_databases) as flowing:
        with FaustWorkerProcess(flowing.worker_settings) as zombie:
            await flowing.goes_on()
            zombie.signal(signal.SIGSTOP)
            with FaustWorkerProcess(flowing.worker_settings):
                # The zombie had all partitions, so these flushes are of a worker that took over.
                await flowing.goes_on()
                zombie.signal(signal.SIGCONT)
                await flowing.flow(3.0)
                await flowing.goes_on()
                await flowing.assert_exact()
