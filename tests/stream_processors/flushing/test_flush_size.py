"""A flush takes frames of one month, as many as fit into memory, and always makes progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.flush import Claim
from schemas.frame import Frame, NewFrame, encode, raw_size
from schemas.meter import MeterSet
from schemas.timestamps import DAY, month_of
from stream_processors.core.flush_plan import frames_for_one_flush
from stream_processors.flushing.partition import FlushPorts, Partition
from stream_processors.flushing.policy import FlushPace, FlushPolicy
from tests.factories import NOW, make_batch, make_event, make_meter
from tests.stream_processors.in_memory_pipeline import PARTITIONS, InMemoryPipeline, no_pause

PAYLOADS = [encode(make_batch([make_event("key", "x" * size)])) for size in (0, 10_000, 100_000)]


@given(
    sizes=st.lists(st.sampled_from(PAYLOADS), max_size=8),
    gaps=st.lists(st.sampled_from([0, DAY, 20 * DAY]), min_size=8, max_size=8),
    cap=st.sampled_from([0, 15_000, 120_000, 10**9]),
)
def test_frames_of_one_month_that_fit(sizes: list[bytes], gaps: list[int], cap: int) -> None:
    """The longest leading run whose raw sizes fit. The first frame is always taken, or the partition would be stuck."""
    waiting = [
        Frame(partition=0, offset=offset, arrival=NOW + sum(gaps[:offset]), payload=payload)
        for offset, payload in enumerate(sizes)
    ]
    taken = list(frames_for_one_flush(waiting, cap))

    def fits(frames: list[Frame]) -> bool:
        one_month = len({month_of(frame.arrival) for frame in frames}) == 1
        return one_month and (len(frames) == 1 or sum(raw_size(frame.payload) for frame in frames) <= cap)

    assert taken == waiting[: len(taken)]
    assert bool(taken) == bool(waiting)
    assert not waiting or fits(taken)
    assert len(taken) == len(waiting) or not fits(waiting[: len(taken) + 1])


@pytest.mark.anyio
async def test_frames_that_compress_well_are_cut_into_flushes() -> None:
    """Small in the log, large in memory: several flushes, each below the limit, count everything."""
    pipeline = InMemoryPipeline()
    pipeline.meters.add(make_meter("tokens", "sum"))
    properties = '{"tokens":1,"text":"' + "x" * 10_000 + '"}'
    for number in range(40):
        await pipeline.post([make_event(f"key {number}", properties)], NOW + number)
    ports = FlushPorts(
        log=pipeline.log,
        claims=pipeline.store,
        tables=pipeline.store,
        seen=pipeline.store,
        meters=pipeline.meters,
        pause=no_pause,
    )
    for number in range(PARTITIONS):
        partition = Partition(number, ports, FlushPolicy(filter_keys=1000, max_raw_bytes=60_000))
        while await partition.step():
            pass
    pipeline.assert_exact()
    claims = [row for row in pipeline.engine.flushes if isinstance(row, Claim)]
    assert max(claim.last - claim.first + 1 for claim in claims) == 5
    assert sum(claim.last - claim.first + 1 for claim in claims) == 40


class TimedMeters:
    """Meter sets, and a clock by which a flush takes as many seconds for each of its frames as `frame_seconds` says."""

    def __init__(self, pipeline: InMemoryPipeline) -> None:
        self._pipeline = pipeline
        self._now = 0.0
        self.frame_seconds = 0.0

    def monotonic(self) -> float:
        return self._now

    async def newest_version(self) -> int:
        return await self._pipeline.meters.newest_version()

    async def at_version(self, version: int) -> MeterSet:
        *_, claim = (row for row in self._pipeline.engine.flushes if isinstance(row, Claim))
        self._now += self.frame_seconds * (claim.last - claim.first + 1)
        return await self._pipeline.meters.at_version(version)


@pytest.mark.anyio
async def test_slow_flushes_become_small_and_quick_ones_large() -> None:
    """A flush costs what its meters cost, so its size follows from its time: it begins with an eighth of the most,
    falls at once to what takes less than the limit, and doubles while twice as much would."""
    pipeline = InMemoryPipeline()
    meters = TimedMeters(pipeline)
    ports = FlushPorts(
        log=pipeline.log,
        claims=pipeline.store,
        tables=pipeline.store,
        seen=pipeline.store,
        meters=meters,
        pause=no_pause,
        monotonic=meters.monotonic,
    )
    payload = PAYLOADS[2]
    most = 64 * raw_size(payload)
    partition = Partition(0, ports, FlushPolicy(filter_keys=1000, max_raw_bytes=most, slow_seconds=7.0))
    await pipeline.log.append([NewFrame(partition=0, arrival=NOW, payload=payload)] * 300)

    meters.frame_seconds = 2.0
    assert [await partition.step() for _ in range(4)] == [8, 3, 3, 3]
    meters.frame_seconds = 0.01
    assert [await partition.step() for _ in range(7)] == [3, 7, 14, 28, 56, 64, 64]


@given(
    most=st.integers(1, 10**8),
    flushes=st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1000)), max_size=30),
)
def test_the_limit_of_a_flush_stays_within_bounds(most: int, flushes: list[tuple[float, float]]) -> None:
    """Whatever flushes take, the next one may take something, and no more than memory allows."""
    pace = FlushPace(FlushPolicy(max_raw_bytes=most))
    for part, seconds in flushes:
        pace.took(int(part * pace.raw_bytes), seconds)
        assert min(most, 64_000) <= pace.raw_bytes <= most


def paced(fixed: float, marginal: float, flushes: int = 30) -> list[tuple[int, float]]:
    """The sizes and the durations of flushes at the limit, which take `fixed` seconds and `marginal` for each MB."""
    pace = FlushPace(FlushPolicy())
    done: list[tuple[int, float]] = []
    for _ in range(flushes):
        done.append((pace.raw_bytes, fixed + marginal * pace.raw_bytes / 1e6))
        pace.took(*done[-1])
    return done


@given(fixed=st.floats(0, 200), marginal=st.floats(0.01, 200))
def test_a_slow_flush_is_as_short_as_it_may_be_without_waste(fixed: float, marginal: float) -> None:
    """In the end a flush takes less than the limit, or it is as small as flushes get, or most of it is work that a
    smaller one would have too; and then its rate is at least a quarter of the best."""
    size, seconds = paced(fixed, marginal)[-1]
    policy = FlushPolicy()
    most = policy.max_raw_bytes
    assert seconds <= policy.slow_seconds * 1.01 or size == 64_000 or marginal * size / 1e6 <= 4 * fixed
    if fixed > policy.slow_seconds:
        assert size / seconds > most / (fixed + marginal * most / 1e6) / 4


def test_flushes_recover_from_a_time_in_which_everything_was_slow() -> None:
    """The rate of a better time is no reason to make flushes large."""
    pace = FlushPace(FlushPolicy())
    for slowness in [1.0] * 5 + [8.0] * 20:
        pace.took(pace.raw_bytes, slowness * (0.1 + pace.raw_bytes / 1e6))
    assert 350_000 < pace.raw_bytes < 450_000
    for _ in range(20):
        pace.took(pace.raw_bytes, 0.1 + pace.raw_bytes / 1e6)
    assert pace.raw_bytes > 2_500_000
