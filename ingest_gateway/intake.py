"""The intake: takes what all requests posted, makes it durable together, and gives each request its verdicts."""

from types import TracebackType
from typing import Self

from ingest_gateway.outcome import Outcome
from ingest_gateway.posted import Posted


class Intake:
    """`async with Intake(sink, known, recent, clock, policy, metrics) as intake: await intake.submit(posted)`."""

    async def __aenter__(self) -> Self:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    async def submit(self, posted: Posted) -> Outcome:
        """The verdicts, once every accepted event is durable. Raises Overloaded; then nothing of it counts."""
        raise NotImplementedError
