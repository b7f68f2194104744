"""Measures the gateway with its durable log and without counting."""

import asyncio
from pathlib import Path

from schemas.frame import decode
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from tallyhouse.runtime.data_directory import DataDirectory
from tests.bench.figures import Figure, TotalsDiffer
from tests.load_generator import only_send
from tests.server_process import ServerProcess

PARTITIONS = 2
_SETTINGS = {"process_events": "no", "log_limit": "40GB", "log_level": "warning"}


def measure(data: Path, seconds: float) -> list[Figure]:
    """Sends bodies of a thousand events, then single events, each to a new log."""
    many, many_stored = _run(data / "bodies", seconds, batch=1000, connections=16)
    one, one_stored = _run(data / "singles", seconds, batch=1, connections=64)
    return [
        Figure(
            name="gateway alone, durable, 1,000-event bodies",
            value=many["acked_per_second"],
            unit="events/s",
            target=400_000,
            moonshot=1_000_000,
            details=many | {"stored": many_stored},
        ),
        Figure(
            name="gateway alone, durable, one-event posts",
            value=one["acked_per_second"],
            unit="posts/s",
            target=12_000,
            moonshot=25_000,
            details=one | {"stored": one_stored},
        ),
    ]


def _run(data: Path, seconds: float, *, batch: int, connections: int) -> tuple[dict[str, float], int]:
    with ServerProcess(data, partitions=str(PARTITIONS), **_SETTINGS) as server:
        report = only_send(server.url, seconds=seconds, batch=batch, connections=connections, events=90_000_000)
        server.stop()
    stored = asyncio.run(_count_distinct_keys(DataDirectory(data).log))
    if stored != report["different_events"]:
        raise TotalsDiffer(f"{report['different_events']} different events were acknowledged, the log holds {stored}")
    return report, stored


async def _count_distinct_keys(path: Path) -> int:
    keys: set[bytes] = set()
    async with SqliteFrameLog(path, PARTITIONS) as log:
        for partition in range(PARTITIONS):
            offset = await log.first_offset(partition)
            while frames := await log.read(partition, offset, max_bytes=16_000_000):
                for frame in frames:
                    keys.update(decode(frame.payload)["key_hash"].to_pylist())
                offset = frames[-1].offset + 1
    return len(keys)
