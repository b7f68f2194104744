"""A log and key hints for tests of the intake, which can stall and fail."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.judge import AgeLimits
from ingest_gateway.ingest.recent_keys import RecentKeys
from ingest_gateway.ports import KeyHints
from schemas.errors import StoreFailed
from schemas.frame import NewFrame, decode
from schemas.hashing import BodyHashes, KeyHashes, as_digests
from schemas.metrics import Metrics, NullMetrics
from schemas.timestamps import DAY, MINUTE, to_micros
from tests.clock import NOON

PARTITIONS = 4
WINDOW = 35 * DAY + 5 * MINUTE


class FakeLog:
    """Keeps frames in memory. `fails` decides which appends fail, and a closed `gate` stalls them."""

    __test__ = False

    def __init__(self, fails: Callable[[int], bool] = lambda _: False) -> None:
        self.frames: list[NewFrame] = []
        self.appends = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.append_started = asyncio.Event()
        self._fails = fails

    async def append(self, frames: Sequence[NewFrame]) -> None:
        number = self.appends
        self.appends += 1
        self.append_started.set()
        await self.gate.wait()
        await asyncio.sleep(0)
        if self._fails(number):
            raise StoreFailed("the disk is full")
        self.frames.extend(frames)

    def rows(self) -> list[dict[str, object]]:
        """The stored events, in order of the frames."""
        return [row for frame in self.frames for row in decode(frame.payload).to_pylist()]


class FakeKnownKeys:
    """Key hints that answer, fail, or never answer."""

    __test__ = False

    def __init__(
        self,
        known: Mapping[bytes, int],
        error: Exception | None = None,
        hangs: bool = False,
        forgets: Exception | None = None,
    ) -> None:
        self._forgets = forgets
        self._known = known
        self._error = error
        self._silent = hangs

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        if self._silent:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error
        return {key: self._known[key] for key in as_digests(keys) if key in self._known}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Raises the given error, or does nothing: only the keys given at first are known."""
        if self._forgets is not None:
            raise self._forgets


def intake_over(
    log: FakeLog,
    keys: KeyHints | None = None,
    policy: IntakePolicy | None = None,
    clock: Callable[[], int] = lambda: to_micros(NOON),
    metrics: Metrics | None = None,
    capacity: int = 2**12,
) -> Intake:
    return Intake(
        log,
        keys or FakeKnownKeys({}),
        RecentKeys(capacity, WINDOW),
        clock,
        policy or IntakePolicy(partitions=PARTITIONS, age_limits=AgeLimits()),
        metrics or NullMetrics(),
    )
