"""What billing needs from whoever counts. Adapters fit structurally."""

from typing import Protocol

from schemas.flush import Watermark
from schemas.ids import AccountId
from schemas.meter import Meter
from schemas.usage import Backfill, UsageAnswer, UsageQuery


class UsageReader(Protocol):
    """Usage, exactly at a watermark."""

    async def usage(self, query: UsageQuery) -> UsageAnswer: ...

    async def backfill(self, meter: Meter) -> Backfill:
        """How far the meter's count of past events is."""
        ...


class Recount(Protocol):
    """The same answers from the raw events, by a path of its own."""

    async def usage_at(self, query: UsageQuery, watermark: Watermark) -> UsageAnswer:
        """Of these flushes and earlier ones, and no others."""
        ...


class Meters(Protocol):
    """What is counted."""

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        ...
