"""A broker that crashes or goes silent costs time and refusals, but never an acked frame, memory or a restart.

SIGKILL ends the broker's process, not its machine: the kernel still has what was written. Replicas make a frame
survive a machine (acks=all and min.insync.replicas), which one broker cannot show.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
import pytest

from schemas.errors import Overloaded, StoreFailed
from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from tests.backing_services.kafka import PausableKafkaBroker
from tests.contracts.frame_log import everything, new_frame, numbered
from tests.stream_processors.backends.log.kafka.topic_logs import TopicLog, new_topic, opened

pytestmark = [pytest.mark.anyio, pytest.mark.long]

SHORT_TIMEOUTS = KafkaPolicy(append_seconds=1.0, call_seconds=1.0, in_flight_bytes=100_000)
KILLS = 3
WRITERS = 4
DEADLINE = 60.0
POLL_SECONDS = 0.01

_Result = TypeVar("_Result")


@pytest.fixture
def cluster(killable_broker: PausableKafkaBroker) -> KafkaCluster:
    return KafkaCluster(servers=killable_broker.bootstrap)


async def retry_until_done(work: Callable[[], Awaitable[_Result]]) -> _Result:
    """Retry until the work succeeds, up to a deadline."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return await work()
            except (Overloaded, StoreFailed):
                await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, up to a deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the sink is observed from outside
            await asyncio.sleep(POLL_SECONDS)


async def seconds_until_refused(work: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises((Overloaded, StoreFailed)):
        await work
    return loop.time() - began


async def test_no_acknowledged_frame_is_lost_when_the_broker_is_killed(
    killable_broker: PausableKafkaBroker, cluster: KafkaCluster
) -> None:
    """After repeated kills between and during appends the log has every acked frame, in each writer's order."""
    acked: list[list[bytes]] = [[] for _ in range(WRITERS)]
    stopping = asyncio.Event()

    async def write(log: TopicLog, writer: int) -> None:
        for number in itertools.count():
            if stopping.is_set():
                return
            payload = b"%d/%d" % (writer, number)
            await retry_until_done(lambda payload=payload: log.append([new_frame(payload=payload)]))  # type: ignore[misc] # a default binds it
            acked[writer].append(payload)

    async def kill_now_and_then() -> None:
        for _ in range(KILLS):
            goals = [len(own) + 20 for own in acked]
            await until(lambda goals=goals: all(len(own) >= goal for own, goal in zip(acked, goals, strict=True)))  # type: ignore[misc] # a default binds it
            await asyncio.to_thread(killable_broker.kill)
            await asyncio.to_thread(killable_broker.start)
        stopping.set()

    async with opened(cluster, await new_topic(cluster, 1), KafkaPolicy(append_seconds=2, call_seconds=2)) as log:
        await asyncio.gather(kill_now_and_then(), *(write(log, writer) for writer in range(WRITERS)))
        frames = [frame.payload for frame in await retry_until_done(lambda: everything(log))]
    for writer in range(WRITERS):
        own = list(dict.fromkeys(payload for payload in frames if payload.startswith(b"%d/" % writer)))
        assert own[: len(acked[writer])] == acked[writer]


async def test_a_broker_that_is_gone_costs_refusals_until_it_is_back(
    killable_broker: PausableKafkaBroker, cluster: KafkaCluster
) -> None:
    """Appends are refused in time, no bytes pile up, and the same sink and reader recover by themselves."""
    async with opened(cluster, await new_topic(cluster), SHORT_TIMEOUTS) as log:
        await log.append(numbered(1))
        assert len(await everything(log)) == 1
        await asyncio.to_thread(killable_broker.kill)
        for _ in range(3):
            assert (
                await seconds_until_refused(log.append([new_frame(payload=bytes(40_000))]))
                < 2 * SHORT_TIMEOUTS.append_seconds
            )
            assert log.sink.in_flight_bytes <= SHORT_TIMEOUTS.in_flight_bytes
        await assert_refused_at_once(log)
        await asyncio.to_thread(killable_broker.start)
        await retry_until_done(lambda: log.append([new_frame(payload=b"back")]))
        payloads = [frame.payload for frame in await retry_until_done(lambda: everything(log))]
        assert payloads[0] == b"0"
        assert b"back" in payloads
        await wait_until_nothing_in_flight(log)


async def test_calls_to_a_silent_broker_time_out(killable_broker: PausableKafkaBroker, cluster: KafkaCluster) -> None:
    """When the broker neither answers nor closes the connection, every call ends and memory stays within its limit."""
    async with opened(cluster, await new_topic(cluster), SHORT_TIMEOUTS) as log:
        await log.append(numbered(1))
        assert len(await everything(log)) == 1
        killable_broker.pause()
        try:
            await wait_until_silent(log)
            await assert_refused_at_once(log)
            refused = await asyncio.gather(
                *(seconds_until_refused(log.append([new_frame(payload=bytes(30_000))])) for _ in range(9))
            )
            assert max(refused) < 2 * SHORT_TIMEOUTS.append_seconds
            assert log.sink.in_flight_bytes <= SHORT_TIMEOUTS.in_flight_bytes
            reads = (
                log.first_offset(0),
                log.read(0, 1, max_bytes=1),
                log.oldest_arrival(0, 1),
                log.wait(0, 1, 0.2),
            )
            for read in reads:
                assert await seconds_until_refused(read) < 2 * SHORT_TIMEOUTS.call_seconds
            await wait_until_nothing_in_flight(log)
        finally:
            killable_broker.resume()
        await retry_until_done(lambda: log.append([new_frame(payload=b"back")]))
        await retry_until_done(lambda: everything(log))
        await wait_until_nothing_in_flight(log)


async def test_a_claimed_range_is_never_cut_short_by_an_outage(
    killable_broker: PausableKafkaBroker, cluster: KafkaCluster
) -> None:
    """An unreachable broker is an error to retry; only a log that certainly ends earlier reads short."""
    async with opened(cluster, await new_topic(cluster), SHORT_TIMEOUTS) as log:
        await log.append(numbered(3))
        assert [f.offset for f in await log.read(0, 0, max_bytes=0, last=5)] == [0, 1, 2]
        await asyncio.to_thread(killable_broker.kill)
        with pytest.raises(StoreFailed):
            await log.read(0, 0, max_bytes=0, last=5)
        await asyncio.to_thread(killable_broker.start)
        claimed = await retry_until_done(lambda: log.read(0, 0, max_bytes=0, last=2))
        assert [f.offset for f in claimed] == [0, 1, 2]


async def test_reads_that_an_outage_breaks_off_can_be_retried(
    killable_broker: PausableKafkaBroker, cluster: KafkaCluster
) -> None:
    """Wherever the outage interrupts a fetch, its reader raises, closes its consumer, and continues later."""
    readers, frames = 12, 4
    policy = msgspec.structs.replace(SHORT_TIMEOUTS, in_flight_bytes=10**6, fetch_bytes=1_000)
    async with opened(cluster, await new_topic(cluster, readers), policy) as log:
        numbers = range(readers)
        await log.append(
            [new_frame(partition=number, payload=bytes(2_000)) for number in numbers for _ in range(frames)]
        )
        # On a busy machine a dozen clients take longer to connect than the short timeout.
        await asyncio.gather(*(retry_until_done(partial(log.read, number, 0, max_bytes=1)) for number in numbers))
        await asyncio.to_thread(killable_broker.kill)
        refused = await asyncio.gather(
            *(seconds_until_refused(log.read(number, 0, max_bytes=0, last=frames - 1)) for number in numbers)
        )
        assert max(refused) < 4 * policy.call_seconds
        await asyncio.to_thread(killable_broker.start)
        for number in numbers:
            claimed = await retry_until_done(partial(log.read, number, 0, max_bytes=0, last=frames - 1))
            assert len(claimed) == frames


async def wait_until_silent(log: TopicLog) -> None:
    """A stopped process may run on for a moment, until each of its threads has stopped."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                await log.append(numbered(1))
            except Overloaded:
                return


async def assert_refused_at_once(log: TopicLog) -> None:
    """The open circuit refuses many appends within the time that one of them would wait."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(20):
        with pytest.raises(Overloaded, match="do not answer at present"):
            await log.append(numbered(1))
    assert loop.time() - began < SHORT_TIMEOUTS.append_seconds


async def wait_until_nothing_in_flight(log: TopicLog) -> None:
    """Wait until every byte is acknowledged or dropped."""
    await until(lambda: not log.sink.in_flight_bytes)
