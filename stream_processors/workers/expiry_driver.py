"""Drives expiry in the background: at the start, and then now and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from schemas.logger import Logger, NullLogger
from stream_processors.workers.policy import WorkerPolicy


class ExpirySteps(Protocol):
    """Expiry, as its driver sees it."""

    async def step(self) -> Sequence[int]:
        """Drop what has expired; which months that was."""
        ...


class ExpiryDriver:
    """Runs until cancelled. What fails is only late: keys kept too long cost room, never exactness."""

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
        """Look for expired months for ever."""
        while True:
            try:
                for month in await self._expiry.step():
                    self._logger.info("seen keys expired: nothing can meet them any more", month=month)
            except Exception:
                self._logger.exception("seen keys could not be expired, it is tried again later")
            await self._rest(self._policy.expiry_seconds)
