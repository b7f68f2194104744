"""`GET /v1/status`: lag, watermark, throughput and open rejects."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from ingest_gateway.api.health import Check
from ingest_gateway.api.routes_usage import watermark_document
from ingest_gateway.api.throughput import WINDOW, Throughput
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.ports import EventReader, ProcessingStatus, UsageQueries
from schemas.account import Scope
from schemas.errors import Busy, Overloaded, StoreAbsent, TallyhouseError, Unready
from schemas.flush import PartitionStatus
from schemas.listing import Page, RejectQuery
from schemas.timestamps import SECOND, iso_or_none


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
    log: Annotated[str, Meta(description="`ok`, or why the log cannot be written.")]
    open_rejects: Annotated[OpenRejects | None, Meta(description="Null while it is not known: see `missing`.")]
    verification: Annotated[
        str,
        Meta(
            description="Whether usage equals its events, as compared in idle time: `verifying`, `verified`, "
            "`different: …` with an example, `retrying: …`, or `off`."
        ),
    ]
    verified_until: Annotated[
        str | None, Meta(description="Usage equals the events that arrived up to then. Null before it is known.")
    ]
    watermark: Annotated[
        dict[str, int] | None, Meta(description="Partition to its last flush. Null while it is not known.")
    ]
    missing: Annotated[list[str], Meta(description="What is not known at the moment, and why.")]


class StatusReply(Success, kw_only=True):
    """The progress of counting."""

    status: StatusDocument


STATUS_SECONDS = 1.8
"""A part of the status that takes longer is left out."""

_PUBLIC = (Busy, StoreAbsent, Unready)
"""Errors whose message may be shown."""

_Value = TypeVar("_Value")

COUNTED_REJECTS = 100
"""Open rejects are counted up to this number; beyond it, their listing is more useful than a count."""


class StatusRoutes:
    """Lag and watermark are the service's; rates and rejects are the account's."""

    def __init__(
        self,
        status: ProcessingStatus,
        usage: UsageQueries,
        events: EventReader,
        check_log: Check,
        throughput: Throughput,
    ) -> None:
        self._status = status
        self._usage = usage
        self._events = events
        self._check_log = check_log
        self._throughput = throughput

    def routes(self) -> list[Route]:
        description = Description("Get the progress of counting", response_type=StatusReply, operation_id="get_status")
        return [Route("GET", "/v1/status", Scope.READ, self.show, description)]

    async def show(self, request: Request) -> Response:
        query = RejectQuery(account=request.account, open_only=True, limit=COUNTED_REJECTS)
        rejects, watermark, log, partitions, backfills, verification = await asyncio.gather(
            _within("open_rejects", self._events.rejects(query)),
            _within("watermark", self._usage.watermark()),
            _within("log", self._check_log()),
            _within("partitions", self._status.partitions()),
            _within("backfills", self._status.backfills()),
            _within("verification", self._status.verification()),
        )
        found = partitions.value
        if found is None:  # An empty list would look like no lag.
            raise Overloaded(f"the progress of the partitions is not known now ({partitions.missing})")
        return request.success(
            status={
                "partitions": [_partition(partition) for partition in found],
                "lag_frames": sum(partition.lag_frames for partition in found),
                "lag_seconds": max((partition.lag_seconds for partition in found), default=0.0),
                "backfills": backfills.value or "unknown",
                "rates": self._rates_of(request),
                "log": log.missing or "ok",
                "open_rejects": rejects.value and _open_rejects(rejects.value),
                "verification": verification.value.state if verification.value else "unknown",
                "verified_until": iso_or_none(verification.value.verified_until if verification.value else None),
                "watermark": watermark.value and watermark_document(watermark.value),
                "missing": [
                    f"{part.name}: {part.missing}"
                    for part in (backfills, rejects, watermark, verification)
                    if part.missing is not None
                ],
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


class _Part(NamedTuple, Generic[_Value]):
    """A part of the status, or why it is not known."""

    name: str
    value: _Value | None
    missing: str | None


async def _within(name: str, question: Awaitable[_Value]) -> _Part[_Value]:
    answer = asyncio.ensure_future(question)
    await asyncio.wait((answer,), timeout=STATUS_SECONDS)
    if not answer.done():
        # A query that was sent cannot be withdrawn.
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())
        return _Part(name, None, f"no answer within {STATUS_SECONDS:.0f} s")
    error = answer.exception()
    if error is None:
        return _Part(name, answer.result(), None)
    if isinstance(error, TallyhouseError):
        return _Part(name, None, str(error) if isinstance(error, _PUBLIC) else "it failed; the logs state why")
    raise error


def _open_rejects(page: Page) -> dict[str, object]:
    return {"count": len(page.items), "more": page.next_cursor is not None}


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
