"""`/v1/meters`: creates, lists, changes and archives meters."""

from ingest_gateway.api.meter_documents import (
    CountingMeter,
    MeterChanges,
    MeterPage,
    MeterRequest,
    OneMeter,
    backfill_document,
    meter_document,
    read_changes,
    read_new_meter,
)
from ingest_gateway.http.envelope import Response, pagination
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging, paginate
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Description, Route
from ingest_gateway.ports import MeterCatalog, UsageQueries
from schemas.account import Scope

ALL, ONE = "/v1/meters", "/v1/meters/{code}"


class MeterRoutes:
    """Administrators create, rename and archive meters; readers see them."""

    def __init__(self, meters: MeterCatalog, usage: UsageQueries) -> None:
        self._meters = meters
        self._usage = usage

    def routes(self) -> list[Route]:
        past = (
            "The meter counts past events too, each once. Only name and unit can change; no other meter gets its code."
        )
        creates = Description(
            "Create a meter", body_type=MeterRequest, response_type=OneMeter, status=201, details=past
        )
        shows = Description("Retrieve a meter with the progress of its backfill", response_type=CountingMeter)
        renames = Description("Change the name or the unit of a meter", body_type=MeterChanges, response_type=OneMeter)
        remains = "Its usage remains. Archiving twice changes nothing."
        archives = Description(
            "Archive a meter: it stops counting", response_type=OneMeter, details=remains, operation_id="archive_meter"
        )
        return [
            Route("POST", ALL, Scope.ADMIN, self.create, creates),
            Route(
                "GET",
                ALL,
                Scope.READ,
                self.index,
                Description("List meters", query_type=Paging, response_type=MeterPage),
            ),
            Route("GET", ONE, Scope.READ, self.get, shows),
            Route("PATCH", ONE, Scope.ADMIN, self.rename, renames),
            Route("DELETE", ONE, Scope.ADMIN, self.archive, archives),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        applied = await self._meters.create(command_of(request, document), read_new_meter(document))
        location = f"{ALL}/{applied.answer.code}"
        return applied_response(
            request, applied, http_status=201, location=location, meter=meter_document(applied.answer)
        )

    async def index(self, request: Request) -> Response:
        page = request.read_parameters(Paging)
        meters = await self._meters.list(request.account)
        shown, next_cursor = paginate(meters, page.limit, page.cursor, key=lambda meter: str(meter.version))
        return request.success(meters=[meter_document(meter) for meter in shown], pagination=pagination(next_cursor))

    async def get(self, request: Request) -> Response:
        """One meter with the progress of its backfill."""
        meter = await self._meters.get(request.account, request.path_params["code"])
        backfill = await self._usage.backfill(meter)
        return request.success(meter={**meter_document(meter), "backfill": backfill_document(backfill)})

    async def rename(self, request: Request) -> Response:
        document = await request.document()
        applied = await self._meters.rename(
            command_of(request, document), request.path_params["code"], read_changes(document)
        )
        return applied_response(request, applied, meter=meter_document(applied.answer))

    async def archive(self, request: Request) -> Response:
        applied = await self._meters.archive(command_of(request), request.path_params["code"])
        return applied_response(request, applied, meter=meter_document(applied.answer))
