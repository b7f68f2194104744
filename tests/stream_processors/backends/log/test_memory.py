"""The log in memory fulfils the log's contract, and needs no event loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from schemas.frame import Frame
from stream_processors.backends.log.memory import MemoryFrameLog
from stream_processors.backends.log.policy import LogPolicy
from tests.contracts.frame_log import PARTITIONS, AnyHeldLog, FrameLogContract, OpenLog, new_frame


class TestMemoryFrameLog(FrameLogContract):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        @asynccontextmanager
        async def opened(policy: LogPolicy) -> AsyncIterator[AnyHeldLog]:
            yield MemoryFrameLog(PARTITIONS, policy)

        return opened


def test_no_call_yields_to_an_event_loop() -> None:
    """A hand-made scheduler can drive every method but `wait`."""
    log = MemoryFrameLog(1)
    for call in (log.append([new_frame()]), log.acknowledge(0, -1)):
        with pytest.raises(StopIteration):
            call.send(None)
    with pytest.raises(StopIteration) as returned:
        log.read(0, 0, max_bytes=0).send(None)
    assert returned.value.value == [Frame(partition=0, offset=0, arrival=7, payload=b"payload")]
