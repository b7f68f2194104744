"""Runs expiry in the background: at the start, and then at an interval."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from schemas.logger import Logger, NullLogger
from stream_processors.workers.policy import WorkerPolicy


class ExpirySteps(Protocol):
    """Expiry, as the driver calls it."""

    async def step(self) -> Sequence[int]:
        """Drops the expired months and returns them."""
        ...


class ExpiryDriver:
    """Runs until cancelled. A failure only delays expiry: keys kept too long cost space, never exactness."""

    def __init__(
        self,
        expiry: ExpirySteps,
        policy: WorkerPolicy,
        *,
        logger: Logger | None = None,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._expiry = expiry
        self._policy = policy
        self._logger = logger or NullLogger()
        self._rest = rest

    async def run(self) -> None:
        while True:
            try:
                for month in await self._expiry.step():
                    self._logger.info("seen keys expired: no later frame can meet them", month=month)
            except Exception:
                self._logger.exception("seen keys could not be expired, retrying later")
            await self._rest(self._policy.expiry_seconds)
