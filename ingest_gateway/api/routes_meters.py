"""`/v1/meters`: what to count."""

from ingest_gateway.api.documents import backfill_document, meter_document
from ingest_gateway.api.endpoint import Call, Endpoint
from ingest_gateway.api.envelope import Reply, page
from ingest_gateway.api.new_meter import read_changes, read_new_meter
from ingest_gateway.api.paging import cut
from ingest_gateway.ports import Meters, UsageReader
from schemas.account import Scope


class MeterRoutes:
    """Meters are made and archived by administrators, and shown to readers."""

    def __init__(self, meters: Meters, usage: UsageReader) -> None:
        self._meters = meters
        self._usage = usage

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("POST", "/v1/meters", Scope.ADMIN, self.create),
            Endpoint("GET", "/v1/meters", Scope.READ, self.index),
            Endpoint("GET", "/v1/meters/{code}", Scope.READ, self.get),
            Endpoint("PATCH", "/v1/meters/{code}", Scope.ADMIN, self.rename),
            Endpoint("DELETE", "/v1/meters/{code}", Scope.ADMIN, self.archive),
        ]

    async def create(self, call: Call) -> Reply:
        meter = await self._meters.create(call.account, read_new_meter(await call.document()))
        location = f"/v1/meters/{meter.code}".encode()
        return call.success(http_status=201, headers=[(b"location", location)], meter=meter_document(meter))

    async def index(self, call: Call) -> Reply:
        query = call.query("limit", "cursor")
        meters = await self._meters.list(call.account)
        shown, next_cursor = cut(meters, query.limit(), query.text("cursor"), key=lambda meter: str(meter.version))
        return call.success(meters=[meter_document(meter) for meter in shown], pagination=page(next_cursor))

    async def get(self, call: Call) -> Reply:
        """With how far its count of past events is."""
        meter = await self._meters.get(call.account, call.path["code"])
        backfill = await self._usage.backfill(meter)
        return call.success(meter={**meter_document(meter), "backfill": backfill_document(backfill)})

    async def rename(self, call: Call) -> Reply:
        changes = read_changes(await call.document())
        return call.success(meter=meter_document(await self._meters.rename(call.account, call.path["code"], changes)))

    async def archive(self, call: Call) -> Reply:
        return call.success(meter=meter_document(await self._meters.archive(call.account, call.path["code"])))
