"""Each metric of ingest is observed once, by one module."""

import asyncio
from pathlib import Path

from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.recent_keys import RecentKeys
from schemas.metrics import Counter, Histogram
from schemas.timestamps import to_micros
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tallyhouse.runtime.prometheus import PREFIX, PrometheusMetrics
from tests.clock import NOON
from tests.ingest_gateway.ingest.doubles import PARTITIONS, WINDOW, FakeKnownKeys
from tests.ingest_gateway.ingest.examples import batch, event, post


def test_a_group_and_its_commit_are_each_observed_once(tmp_path: Path) -> None:
    """One post of three events makes one group and one commit, with the frames and bytes in the log."""
    metrics = PrometheusMetrics()

    async def posted() -> tuple[int, int]:
        async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS, metrics=metrics) as log:
            recent = RecentKeys(2**8, WINDOW)
            policy = IntakePolicy(partitions=PARTITIONS)
            async with Intake(log, FakeKnownKeys({}), recent, lambda: to_micros(NOON), policy, metrics) as intake:
                await intake.submit(post(batch(event("a"), event("b"), event("c"))))
            return sum(map(log.end_offset, range(PARTITIONS))), log.held_bytes

    frames, size = asyncio.run(posted())
    assert shown(metrics, f"{Histogram.GROUP_SECONDS.value.name}_count") == 1
    assert shown(metrics, f"{Histogram.GROUP_EVENTS.value.name}_count") == 1
    assert shown(metrics, f"{Histogram.GROUP_EVENTS.value.name}_sum") == 3
    assert shown(metrics, f"{Histogram.COMMIT_SECONDS.value.name}_count") == 1
    assert shown(metrics, Counter.FRAMES.value.name) == frames
    assert shown(metrics, Counter.FRAME_BYTES.value.name) == size


def shown(metrics: PrometheusMetrics, name: str) -> float:
    """The value on the metrics page."""
    lines = (line.split(" ") for line in metrics.render().decode().splitlines())
    (value,) = (float(words[1]) for words in lines if words[0] == PREFIX + name)
    return value
