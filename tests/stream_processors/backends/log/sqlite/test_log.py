"""The SQLite log fulfils the log's contract, and its frames survive the process that wrote them."""

import asyncio
import itertools
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from schemas.errors import Alarm, IdentityChanged, Overloaded, StoreFailed
from schemas.frame import NewFrame
from schemas.metrics import Counter, Histogram, NullMetrics
from stream_processors.backends.log.policy import LogPolicy
from stream_processors.backends.log.sqlite.log import SqliteFrameLog
from stream_processors.backends.log.sqlite.reader import SqliteLogReader
from tests.contracts.frame_log import (
    PARTITIONS,
    AnyHeldLog,
    AnyLogContract,
    FrameLogContract,
    Open,
    OpenLog,
    eventually,
    everything,
    new_frame,
    numbered,
    trimmed_to,
)


class TestSqliteFrameLog(FrameLogContract):
    """Each test has a file of its own."""

    @pytest.fixture
    def open_log(self, tmp_path: Path) -> OpenLog:
        names = itertools.count()

        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[AnyHeldLog]:
            async with SqliteFrameLog(tmp_path / f"{next(names)}.db", PARTITIONS, policy) as log:
                yield log

        return opened


class TwoProcessLog(SqliteLogReader):
    """A log as two processes use it: one appends, the other reads and counts."""

    def __init__(self, path: Path, log: SqliteFrameLog) -> None:
        super().__init__(path, PARTITIONS, poll_seconds=0.001)
        self._log = log

    async def append(self, frames: Sequence[NewFrame]) -> None:
        """Returns when the reader has seen the frames as well."""
        await self._log.append(frames)
        for partition in range(PARTITIONS):
            if end := self._log.end_offset(partition):
                await self.wait(partition, end - 1, timeout=10)


class TestSqliteLogReader(AnyLogContract[TwoProcessLog]):
    """The reader's file is written by another log."""

    @pytest.fixture
    def open_log(self, tmp_path: Path) -> Open[TwoProcessLog]:
        names = itertools.count()

        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[TwoProcessLog]:
            path = tmp_path / f"{next(names)}.db"
            async with SqliteFrameLog(path, PARTITIONS, policy) as log, TwoProcessLog(path, log) as reader:
                yield reader

        return opened


@pytest.mark.anyio
async def test_a_reader_reports_what_is_counted_and_deletes_nothing(tmp_path: Path) -> None:
    """The writer deletes the frames when they are acknowledged to it."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(5))
        async with SqliteLogReader(path, PARTITIONS) as reader:
            assert reader.identity == log.identity
            assert reader.counted == {}
            await reader.acknowledge(0, 3)
            await reader.acknowledge(0, 1)
            assert reader.counted == {0: 3}
            assert await reader.first_offset(0) == 0
            await log.acknowledge(0, reader.counted[0])
            await trimmed_to(log, 4)
            assert await reader.first_offset(0) == 4
            with pytest.raises(Alarm, match="frame 5 is said to be counted"):
                await reader.acknowledge(0, 5)
        with pytest.raises(IdentityChanged, match="set the number of partitions back"):
            async with SqliteLogReader(path, PARTITIONS + 1):
                pass


@pytest.mark.anyio
async def test_a_reader_that_cannot_read_the_file_raises(tmp_path: Path) -> None:
    """An unreadable file must not look like the end of the log."""
    path = tmp_path / "log.db"
    async with SqliteFrameLog(path, PARTITIONS) as log:
        await log.append(numbered(1))
    async with SqliteLogReader(path, PARTITIONS, poll_seconds=0.001) as reader:
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE trimmed")

        async def refused() -> bool:
            try:
                await reader.wait(0, 1, timeout=0.001)
            except StoreFailed:
                return True
            return False

        await eventually(refused)
        with pytest.raises(StoreFailed, match="cannot be read"):
            await reader.wait(0, 1, timeout=0.001)


@pytest.mark.anyio
async def test_frames_survive_the_process(tmp_path: Path) -> None:
    """A reopened log has every frame, continues with the next offset, and knows how many bytes it holds."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        await log.append([*numbered(5), new_frame(2)])
        identity = log.identity
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        assert log.identity == identity
        assert [f.payload for f in await everything(log)] == [b"0", b"1", b"2", b"3", b"4"]
        assert log.held_bytes == 5 + len(b"payload")
        await log.append([new_frame(2), new_frame(1)])
        assert [log.end_offset(partition) for partition in range(PARTITIONS)] == [5, 1, 2]


@pytest.mark.anyio
async def test_offsets_continue_when_every_frame_is_deleted(tmp_path: Path) -> None:
    """The last deleted offset is stored, so an offset is never assigned twice."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        await log.append(numbered(9))
        await log.acknowledge(0, 8)
        await trimmed_to(log, 9)
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        assert await log.first_offset(0) == log.end_offset(0) == 9


@pytest.mark.anyio
async def test_another_number_of_partitions_is_refused(tmp_path: Path) -> None:
    """A retried event would no longer meet its own key; the error names the number to go back to."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS):
        pass
    with pytest.raises(IdentityChanged, match="back to 3"):
        async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS + 1):
            pass


@pytest.mark.anyio
async def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A file of a newer version is left unchanged."""
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(IdentityChanged, match="format 99"):
        async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS):
            pass


@pytest.mark.anyio
async def test_two_logs_never_have_the_same_identity(tmp_path: Path) -> None:
    """Each file gets a random identity when it is created."""
    async with SqliteFrameLog(tmp_path / "a.db", 1) as one, SqliteFrameLog(tmp_path / "b.db", 1) as other:
        assert one.identity != other.identity


@pytest.mark.anyio
async def test_a_locked_file_refuses_and_recovers(tmp_path: Path) -> None:
    """While another program locks the file every append fails whole; later ones continue without a gap."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS, LogPolicy(busy_seconds=0.05)) as log:
        await log.append(numbered(1))
        with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            outcomes = await asyncio.gather(*(log.append(numbered(2)) for _ in range(3)), return_exceptions=True)
            assert all(isinstance(outcome, Overloaded) for outcome in outcomes)
            assert log.held_bytes == 1
        await log.append([new_frame(payload=b"after")])
        assert [(f.offset, f.payload) for f in await everything(log)] == [(0, b"0"), (1, b"after")]


@pytest.mark.anyio
async def test_an_append_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    """One frame that cannot be written fails its whole commit, and no later one."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        with pytest.raises(StoreFailed, match="OverflowError"):
            await log.append([*numbered(3), new_frame(1, arrival=2**70)])
        assert log.held_bytes == 0
        await log.append([new_frame(payload=b"after")])
        assert [(f.offset, f.payload) for f in await everything(log)] == [(0, b"after")]


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """On a full disk appends fail whole; with room again they succeed, and every acked frame is stored."""
    command = [
        sys.executable,
        "-m",
        "tests.stream_processors.backends.log.sqlite.full_disk_appender",
        str(tmp_path / "log.db"),
    ]
    program = subprocess.run(
        command, cwd=Path(__file__).parents[5], check=False, capture_output=True, text=True, timeout=60
    )
    assert program.returncode == 0, program.stderr
    acked, refused = map(int, program.stdout.split())
    assert acked > 0
    assert refused == 5

    async def payloads() -> list[bytes]:
        async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
            return [frame.payload.strip() for frame in await everything(log)]

    assert asyncio.run(payloads()) == [b"%d" % number for number in range(acked)]


@pytest.mark.anyio
async def test_trimming_continues_after_a_lock(tmp_path: Path) -> None:
    """Counted frames that could not be deleted are deleted later, without another acknowledgement."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS, LogPolicy(busy_seconds=0.05)) as log:
        await log.append(numbered(3))
        with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await log.acknowledge(0, 2)
            await asyncio.sleep(0.2)
            assert await log.first_offset(0) == 0
        await trimmed_to(log, 3)


@pytest.mark.anyio
async def test_a_cancelled_append_may_be_stored_but_breaks_nothing(tmp_path: Path) -> None:
    """Cancelled callers leave offsets without gaps and the held bytes correct."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        for _ in range(20):
            cancelled = asyncio.create_task(log.append(numbered(1)))
            await asyncio.sleep(0)
            cancelled.cancel()
            await log.append([new_frame(payload=b"x")])
        frames = await everything(log)
        assert [f.offset for f in frames] == list(range(log.end_offset(0)))
        assert [f.payload for f in frames].count(b"x") == 20
        assert log.held_bytes == sum(len(f.payload) for f in frames)


@pytest.mark.anyio
async def test_a_closed_log_raises(tmp_path: Path) -> None:
    """Appends raise before the log is open and after it is closed."""
    log = SqliteFrameLog(tmp_path / "log.db", PARTITIONS)
    with pytest.raises(StoreFailed, match="not open"):
        await log.append(numbered(1))
    async with log:
        pass
    with pytest.raises(StoreFailed, match="closed"):
        await log.append(numbered(1))
    with pytest.raises(StoreFailed, match="not open"):
        _ = SqliteFrameLog(tmp_path / "other.db", PARTITIONS).identity


@pytest.mark.anyio
async def test_the_alarm_names_the_likely_cause(tmp_path: Path) -> None:
    """The error suggests that the usage was counted from another log."""
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS) as log:
        with pytest.raises(Alarm, match="is this the log"):
            await log.acknowledge(0, 0)


@pytest.mark.anyio
async def test_the_files_stay_small_while_frames_flow(tmp_path: Path) -> None:
    """Deleted frames make room for new ones, and the write-ahead file restarts although readers are busy."""
    policy = LogPolicy(checkpoint_bytes=1_000_000)
    async with SqliteFrameLog(tmp_path / "log.db", 1, policy) as log:
        reading = True

        async def keep_reading() -> None:
            while reading:
                await log.read(0, max(log.end_offset(0) - 5, 0), max_bytes=1_000_000)

        readers = [asyncio.create_task(keep_reading()) for _ in range(2)]
        for number in range(300):
            await log.append([new_frame(payload=bytes(100_000))])
            await log.acknowledge(0, number)
        await trimmed_to(log, 300)
        reading = False
        await asyncio.gather(*readers)
        sizes = sizes_in(tmp_path)
    assert sum(sizes) < 15_000_000, f"30 MB went through, {sizes} bytes are left"


@pytest.mark.anyio
async def test_waiting_appends_share_one_commit(tmp_path: Path) -> None:
    """Many concurrent appends cost far fewer commits than appends."""
    numbers = RecordedMetrics()
    async with SqliteFrameLog(tmp_path / "log.db", PARTITIONS, metrics=numbers) as log:
        await asyncio.gather(*(log.append(numbered(1)) for _ in range(200)))
    assert numbers.total(Counter.FRAMES) == 200
    assert numbers.total(Counter.FRAME_BYTES) == 200
    assert numbers.observed(Histogram.COMMIT_SECONDS) < 100


def sizes_in(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.iterdir()]


class RecordedMetrics(NullMetrics):
    """Records what was counted and observed."""

    def __init__(self) -> None:
        self._calls: list[tuple[Counter | Histogram, float, tuple[str, ...]]] = []

    def count(self, metric: Counter, amount: float = 1, *labels: str) -> None:
        self._calls.append((metric, amount, labels))

    def observe(self, metric: Histogram, value: float, *labels: str) -> None:
        self._calls.append((metric, value, labels))

    def total(self, metric: Counter) -> float:
        return sum(amount for counted, amount, _ in self._calls if counted is metric)

    def observed(self, metric: Histogram) -> int:
        return sum(observed is metric for observed, _, _ in self._calls)
