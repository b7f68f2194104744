"""`GET /v1/status`: lag, watermark, throughput and open rejects."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ingest_gateway.api.routes_usage import watermark_document
from ingest_gateway.api.throughput import WINDOW, Throughput
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.ports import EventReader, ProcessingStatus, UsageQueries
from schemas.account import Scope
from schemas.flush import PartitionStatus
from schemas.listing import RejectQuery
from schemas.timestamps import SECOND


class PartitionDocument(msgspec.Struct, kw_only=True):
    """The progress of one partition."""

    partition: int
    state: str
    flush: Annotated[int | None, Meta(description="The last flush done; null before the first.")]
    next_offset: int
    end_offset: int
    lag_frames: int
    lag_seconds: float
    foreign_records: Annotated[int, Meta(description="Records in the log that are no frames of a gateway.")]


class RatesDocument(msgspec.Struct, kw_only=True):
    """Recent events per second of the account."""

    accepted: float
    duplicates: float
    rejected: float


class OpenRejects(msgspec.Struct, kw_only=True):
    """Rejects that were not replayed."""

    count: int
    more: bool


class StatusDocument(msgspec.Struct, kw_only=True):
    """Lag and watermark are the service's; rates and rejects are the account's."""

    partitions: list[PartitionDocument]
    lag_frames: int
    lag_seconds: float
    backfills: str
    rates: RatesDocument
    open_rejects: OpenRejects
    watermark: Annotated[dict[str, int], Meta(description="Partition to its last flush.")]


class StatusReply(Success, kw_only=True):
    """The progress of counting."""

    status: StatusDocument


COUNTED_REJECTS = 100
"""Open rejects are counted up to this number; beyond it, their listing is more useful than a count."""


class StatusRoutes:
    """Lag and watermark are the service's; rates and rejects are the account's."""

    def __init__(
        self, status: ProcessingStatus, usage: UsageQueries, events: EventReader, throughput: Throughput
    ) -> None:
        self._status = status
        self._usage = usage
        self._events = events
        self._throughput = throughput

    def routes(self) -> list[Route]:
        description = Description("Get the progress of counting", response_type=StatusReply, operation_id="get_status")
        return [Route("GET", "/v1/status", Scope.READ, self.show, description)]

    async def show(self, request: Request) -> Response:
        partitions = await self._status.partitions()
        rejects = await self._events.rejects(
            RejectQuery(account=request.account, open_only=True, limit=COUNTED_REJECTS)
        )
        return request.success(
            status={
                "partitions": [_partition(partition) for partition in partitions],
                "lag_frames": sum(partition.lag_frames for partition in partitions),
                "lag_seconds": max((partition.lag_seconds for partition in partitions), default=0.0),
                "backfills": await self._status.backfills(),
                "rates": self._rates_of(request),
                "open_rejects": {"count": len(rejects.items), "more": rejects.next_cursor is not None},
                "watermark": watermark_document(await self._usage.watermark()),
            }
        )

    def _rates_of(self, request: Request) -> dict[str, float]:
        """Events per second over the last whole window."""
        tally, seconds = self._throughput.last_window(request.account), WINDOW // SECOND
        return {
            "accepted": tally.accepted / seconds,
            "duplicates": tally.duplicates / seconds,
            "rejected": tally.rejected / seconds,
        }


def _partition(status: PartitionStatus) -> dict[str, object]:
    return {
        "partition": status.partition,
        "state": status.state,
        "flush": status.flush,
        "next_offset": status.next_offset,
        "end_offset": status.end_offset,
        "lag_frames": status.lag_frames,
        "lag_seconds": status.lag_seconds,
        "foreign_records": status.foreign_records,
    }
