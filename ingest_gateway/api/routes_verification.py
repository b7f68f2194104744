"""`GET /v1/usage/verification`: usage compared with the raw events, part by part; and the days there are to compare."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ingest_gateway.api.routes_usage import Minute, watermark_document
from ingest_gateway.http.envelope import Response, Success
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.ports import UsageVerification
from schemas.account import Scope
from schemas.errors import Invalid, Unanswerable
from schemas.field_types import Id
from schemas.timestamps import MINUTE, to_iso
from schemas.verification import UsageDifference, Verified

MOST_EVENTS = 200_000
"""The most events that one request recounts, apart from those of its last part."""

MOST_DAYS = 100_000
"""Meters times days."""

From = Annotated[Minute, Meta(description="A whole minute, the first of the range.")]
To = Annotated[Minute, Meta(description="A whole minute, the first that is not part of the range.")]


class DaysParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The range of days to compare."""

    start: From = msgspec.field(name="from")
    end: To = msgspec.field(name="to")


class VerificationParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to compare."""

    meter: Annotated[str, Meta(description="The meter's code.", examples=["tokens"])]
    start: From = msgspec.field(name="from")
    end: To = msgspec.field(name="to")
    events: Annotated[
        int, Meta(ge=1, le=MOST_EVENTS, description="After so many events the response ends, with a cursor.")
    ] = MOST_EVENTS // 2
    cursor: Annotated[Id, Meta(description="`next_cursor` of the response before.")] | None = None


class MeterDayDocument(msgspec.Struct, kw_only=True):
    """A day in UTC on which the meter has usage, or there are events of its name."""

    meter: str
    start: str
    events: int
    rows: Annotated[int, Meta(description="Stored rows of usage, which the store merges now and then.")]


class DaysReply(Success, kw_only=True):
    """The days there are to compare, in order of meter and day."""

    days: list[MeterDayDocument]


class DifferenceDocument(msgspec.Struct, kw_only=True):
    """A customer's usage in one minute and group that differs from its events."""

    account: str
    meter: str
    customer_id: str
    window_start: str
    window_end: str
    group: dict[str, str | None]
    counted: Annotated[str | None, Meta(description="What the usage has, a decimal; null if it has nothing.")]
    recounted: Annotated[str | None, Meta(description="What the events make, a decimal; null if there are none.")]
    detail: Annotated[str, Meta(description="What differs, if the two values are equal.")]


class VerificationDocument(msgspec.Struct, kw_only=True):
    """What was compared, and how it differs."""

    events: Annotated[int, Meta(description="How many events were recounted.")]
    difference_count: int
    differences: Annotated[list[DifferenceDocument], Meta(description="The first hundred.")]
    skipped: Annotated[str | None, Meta(description="Why nothing was compared.")]
    watermark: Annotated[
        dict[str, int], Meta(description="Partition to the last flush that every compared part contained.")
    ]
    next_cursor: Annotated[str | None, Meta(description="Where to continue; null if the whole range is compared.")]


class VerificationReply(Success, kw_only=True):
    """A comparison of usage with its events."""

    verification: VerificationDocument


class VerificationRoutes:
    """Compares the account's usage with a recount from its raw events; each part is exact while events arrive."""

    def __init__(self, verification: UsageVerification) -> None:
        self._verification = verification

    def routes(self) -> list[Route]:
        days = Description(
            "List the days of each meter that can be verified",
            query_type=DaysParameters,
            response_type=DaysReply,
            operation_id="list_days_to_verify",
            error_statuses=(422,),
        )
        verify = Description(
            "Recount a meter's usage from the raw events, and compare",
            query_type=VerificationParameters,
            response_type=VerificationReply,
            details="`tallyhouse verify` calls it for every meter.",
            operation_id="verify_usage",
            error_statuses=(422,),
        )
        return [
            Route("GET", "/v1/usage/verification/days", Scope.ADMIN, self.days, days),
            Route("GET", "/v1/usage/verification", Scope.ADMIN, self.verify, verify),
        ]

    async def days(self, request: Request) -> Response:
        parameters = request.read_parameters(DaysParameters)
        _check_range(parameters.start, parameters.end)
        days = await self._verification.days([request.account], parameters.start, parameters.end)
        if len(days) > MOST_DAYS:
            raise Unanswerable(
                f"this range has {len(days)} days of meters, and a listing has {MOST_DAYS}: ask for a shorter range"
            )
        return request.success(
            days=[
                {"meter": day.meter, "start": to_iso(day.start), "events": day.events, "rows": day.rows} for day in days
            ]
        )

    async def verify(self, request: Request) -> Response:
        parameters = request.read_parameters(VerificationParameters)
        start, end = parameters.start, parameters.end
        _check_range(start, end)
        verified = await self._verification.verify(
            request.account, parameters.meter, start, end, cursor=parameters.cursor, limit=parameters.events
        )
        return request.success(verification=_document(verified))


def _check_range(start: int, end: int) -> None:
    for name, moment in (("from", start), ("to", end)):
        if moment % MINUTE:
            raise Invalid(f"{name}: usage is kept by the minute; give a whole one, without seconds", field=name)
    if start >= end:
        raise Invalid("to: the range must end after it begins; 'to' itself is not part of it", field="to")


def _document(verified: Verified) -> dict[str, Any]:
    return {
        "events": verified.events,
        "difference_count": verified.difference_count,
        "differences": [_difference(difference) for difference in verified.differences],
        "skipped": verified.skipped,
        "watermark": watermark_document(verified.watermark),
        "next_cursor": verified.next_cursor,
    }


def _difference(difference: UsageDifference) -> dict[str, Any]:
    return {
        "account": difference.account,
        "meter": difference.meter,
        "customer_id": difference.customer_id,
        "window_start": to_iso(difference.window_start),
        "window_end": to_iso(difference.window_end),
        "group": difference.group,
        "counted": difference.counted,
        "recounted": difference.recounted,
        "detail": difference.detail,
    }
