"""Sends events to two gateways until `stop`; every event that was sent can be generated again."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import numpy as np

from tallyhouse.load.client import DeliveryOptions, LoadClient
from tallyhouse.load.expected_usage import ExpectedUsage
from tallyhouse.load.post_generator import PostGenerator
from tallyhouse.load.target import parse_target
from tallyhouse.load.workload import Bytes, Workload, WorkloadShape
from tests.server_process import KEY

RUN = "chaosrun"
BATCH = 1000
CONNECTIONS = 16
TIMEOUT = 300.0


class Load:
    """Runs once, in one thread; another thread may read `stats` and call `stop`."""

    def __init__(self, urls: Sequence[str], *, seed: int, rate: float) -> None:
        self._shape = WorkloadShape(seed=seed)
        self._times: list[int] = []
        self.expected_usage = ExpectedUsage(self._shape)
        self._supply = PostGenerator(Workload(self._shape, RUN), self.expected_usage, batch=BATCH, now=self._now)
        plan = DeliveryOptions(connections=CONNECTIONS, rate=rate, timeout=TIMEOUT)
        self._client = LoadClient([parse_target(url, KEY) for url in urls], self._supply, plan, time.monotonic)
        self.stats = self._client.stats

    def run(self) -> None:
        """Returns after `stop`, when every event is acknowledged."""
        asyncio.run(self._client.run())

    def stop(self) -> None:
        """Ends the supply of new posts."""
        self._supply.stop()

    @property
    def window(self) -> tuple[int, int]:
        """The first and the last timestamp of the events, in microseconds."""
        return self._times[0], self._times[-1]

    def fresh_rows(self) -> Iterator[Bytes]:
        """Yields all distinct events as they were posted, in key order, a thousand or fewer at a time."""
        again = Workload(self._shape, RUN)
        for now in self._times:
            batch = again.batch(BATCH, now)
            yield batch.rows[: len(batch.fresh.customers)]

    def _now(self) -> int:
        self._times.append(time.time_ns() // 1000)
        return self._times[-1]


def in_larger_pieces(rows: Iterator[Bytes], at_least: int) -> Iterator[Bytes]:
    """Yields the same rows in pieces of at least this many."""
    piece: list[Bytes] = []
    for some in rows:
        piece.append(some)
        if sum(map(len, piece)) >= at_least:
            yield np.concatenate(piece)
            piece = []
    if piece:
        yield np.concatenate(piece)
