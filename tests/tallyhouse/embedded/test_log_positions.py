"""Log and store are compared at every start: every order in which one of them can be of another moment."""

from collections.abc import Mapping

import msgspec
import pytest

from schemas.errors import LogGap, StoreDamaged
from schemas.flush import FlushProgress
from schemas.logger import NullLogger
from stream_processors.backends.sql.log_positions import LogPosition
from tallyhouse.embedded.log_positions import PositionRecorder
from tests.factories import make_claim

pytestmark = pytest.mark.anyio


class FakeLog(msgspec.Struct):
    """One partition, whose chain after offset n is n + `history`."""

    first: int
    end: int
    history: int = 0
    counted: dict[int, int] = {}

    async def first_offset(self, _partition: int) -> int:
        return self.first

    def end_offset(self, _partition: int) -> int:
        return self.end

    async def chain_at(self, _partition: int, offset: int) -> int | None:
        return offset + self.history if self.first - 1 <= offset < self.end else None


class FakeStore(msgspec.Struct):
    """Flushes up to `counted`, and the recorded positions."""

    counted: int
    is_done: bool = True
    recorded: dict[int, LogPosition] = {}

    async def progress(self, _partition: int) -> FlushProgress | None:
        if not self.counted:
            return None
        claim = make_claim(number=0, first=max(self.counted - 10, 0), last=self.counted - 1, partition=0, version=0)
        return FlushProgress(claim=claim, done=self.is_done)

    async def read(self) -> dict[int, LogPosition]:
        return self.recorded

    async def record(self, positions: Mapping[int, LogPosition]) -> None:
        self.recorded = {**self.recorded, **positions}


def recorder(log: FakeLog, store: FakeStore) -> PositionRecorder:
    return PositionRecorder(log, store, store, 1, NullLogger())


def at(offset: int, history: int = 0) -> dict[int, LogPosition]:
    return {0: LogPosition(offset, offset + history)}


@pytest.mark.parametrize(
    ("log", "store"),
    [
        (FakeLog(first=0, end=0), FakeStore(counted=0)),
        (FakeLog(first=100, end=100), FakeStore(counted=100, recorded=at(99))),
        (FakeLog(first=90, end=120), FakeStore(counted=100, recorded=at(95))),
        # Killed before the last flush was recorded, and restarted: the frames are still there.
        (FakeLog(first=50, end=100), FakeStore(counted=100, is_done=False, recorded=at(60))),
        # A restored store, and all frames after it in the log: they are counted again.
        (FakeLog(first=40, end=100), FakeStore(counted=50, recorded=at(45))),
        (FakeLog(first=40, end=100), FakeStore(counted=50, recorded=at(20))),
        (FakeLog(first=0, end=100), FakeStore(counted=0)),
    ],
)
async def test_what_belongs_together_starts_and_is_recorded(log: FakeLog, store: FakeStore) -> None:
    await recorder(log, store).check()
    if store.counted and store.is_done:
        assert store.recorded == at(store.counted - 1)


@pytest.mark.parametrize(
    ("log", "store", "words"),
    [
        (FakeLog(first=50, end=60), FakeStore(counted=100, recorded=at(99)), "frames up to 99 are counted"),
        (FakeLog(first=50, end=95), FakeStore(counted=100, is_done=False), "frames up to 99 are counted"),
        (FakeLog(first=0, end=0), FakeStore(counted=100), "frames up to 99 are counted"),
        (FakeLog(first=0, end=5), FakeStore(counted=0, recorded=at(9)), "frames up to 9 are counted"),
        (FakeLog(first=50, end=200, history=7), FakeStore(counted=100, recorded=at(99)), "other frames up to 99"),
        (FakeLog(first=100, end=100, history=7), FakeStore(counted=100, recorded=at(99)), "other frames up to 99"),
        (FakeLog(first=80, end=100), FakeStore(counted=50, recorded=at(45)), "frames 50 to 79 are not counted"),
        (FakeLog(first=80, end=100), FakeStore(counted=0), "frames 0 to 79 are not counted"),
    ],
)
async def test_what_does_not_belong_together_is_refused_at_every_start(
    log: FakeLog, store: FakeStore, words: str
) -> None:
    before = store.recorded
    for _ in range(2):
        with pytest.raises(LogGap, match=words):
            await recorder(log, store).check()
    assert store.recorded == before


async def test_frames_may_be_deleted_only_when_they_are_recorded() -> None:
    """Otherwise the chain could not be compared at the next start."""
    log, store = FakeLog(first=0, end=50), FakeStore(counted=10)
    positions = recorder(log, store)
    await positions.check()
    assert positions.counted == {0: 9}
    log.counted = {0: 29}
    assert positions.counted == {0: 9}
    await positions.record()
    assert positions.counted == {0: 29}
    assert store.recorded == at(29)


@pytest.mark.parametrize(("counted", "is_done"), [(100, True), (0, True), (110, False)])
async def test_a_store_that_lost_flushes_is_no_damage_of_the_log(counted: int, is_done: bool) -> None:
    """To accept a loss of the log would be wrong: what the flushes were can be derived again."""
    store = FakeStore(counted=counted, is_done=is_done, recorded=at(104))
    with pytest.raises(StoreDamaged, match="tallyhouse repair"):
        await recorder(FakeLog(first=105, end=120), store).check()
