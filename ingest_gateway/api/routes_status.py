"""`GET /v1/status`: how far counting is, how fast events come, and what waits for a person."""

from ingest_gateway.api.documents import watermark_document
from ingest_gateway.api.status_records import StatusReply
from ingest_gateway.api.throughput import WINDOW, Rates
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.ports import EventReader, Status, UsageReader
from schemas.account import Scope
from schemas.flush import PartitionStatus
from schemas.listing import RejectQuery
from schemas.timestamps import SECOND

COUNTED_REJECTS = 100
"""Open rejects are counted up to here: beyond it, their listing tells more than a number."""


class StatusRoutes:
    """Lag and watermark are the service's; rates and rejects are the asking account's own."""

    def __init__(self, status: Status, usage: UsageReader, events: EventReader, rates: Rates) -> None:
        self._status = status
        self._usage = usage
        self._events = events
        self._rates = rates

    def endpoints(self) -> list[Endpoint]:
        about = About("See how far counting is", gives=StatusReply, operation="get_status")
        return [Endpoint("GET", "/v1/status", Scope.READ, self.show, about)]

    async def show(self, call: Call) -> Reply:
        partitions = await self._status.partitions()
        rejects = await self._events.rejects(RejectQuery(account=call.account, open_only=True, limit=COUNTED_REJECTS))
        return call.success(
            status={
                "partitions": [_partition(partition) for partition in partitions],
                "lag_frames": sum(partition.lag_frames for partition in partitions),
                "lag_seconds": max((partition.lag_seconds for partition in partitions), default=0.0),
                "backfills": await self._status.backfills(),
                "rates": self._rates_of(call),
                "open_rejects": {"count": len(rejects.items), "more": rejects.next_cursor is not None},
                "watermark": watermark_document(await self._usage.watermark()),
            }
        )

    def _rates_of(self, call: Call) -> dict[str, float]:
        """Events per second over the last whole window."""
        tally, seconds = self._rates.lately(call.account), WINDOW // SECOND
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
    }
