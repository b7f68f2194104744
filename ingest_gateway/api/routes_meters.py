"""`/v1/meters`: what to count."""

from ingest_gateway.api.documents import backfill_document, meter_document
from ingest_gateway.api.meter_records import CountingMeter, MeterChanges, MeterPage, MeterRequest, OneMeter
from ingest_gateway.api.meter_validation import read_changes, read_new_meter
from ingest_gateway.http.envelope import Reply, page
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.paging import Paging, cut
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.ports import Meters, UsageReader
from schemas.account import Scope

ALL, ONE = "/v1/meters", "/v1/meters/{code}"


class MeterRoutes:
    """Meters are made and archived by administrators, and shown to readers."""

    def __init__(self, meters: Meters, usage: UsageReader) -> None:
        self._meters = meters
        self._usage = usage

    def endpoints(self) -> list[Endpoint]:
        past = "It counts past events too, each once. What it counts never changes; its code is its own for ever."
        creates = About("Create a meter", takes=MeterRequest, gives=OneMeter, status=201, more=past)
        shows = About("Retrieve a meter, with how far its count of past events is", gives=CountingMeter)
        renames = About("Change the name or the unit of a meter", takes=MeterChanges, gives=OneMeter)
        kept = "What it counted stays. Archiving twice changes nothing."
        archives = About("Archive a meter: it counts no more", gives=OneMeter, more=kept, operation="archive_meter")
        return [
            Endpoint("POST", ALL, Scope.ADMIN, self.create, creates),
            Endpoint("GET", ALL, Scope.READ, self.index, About("List meters", asks=Paging, gives=MeterPage)),
            Endpoint("GET", ONE, Scope.READ, self.get, shows),
            Endpoint("PATCH", ONE, Scope.ADMIN, self.rename, renames),
            Endpoint("DELETE", ONE, Scope.ADMIN, self.archive, archives),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        done = await self._meters.create(act_of(call, document), read_new_meter(document))
        location = f"{ALL}/{done.answer.code}"
        return answer(call, done, status=201, location=location, meter=meter_document(done.answer))

    async def index(self, call: Call) -> Reply:
        query = call.query(Paging)
        meters = await self._meters.list(call.account)
        shown, next_cursor = cut(meters, query.limit(), query.text("cursor"), key=lambda meter: str(meter.version))
        return call.success(meters=[meter_document(meter) for meter in shown], pagination=page(next_cursor))

    async def get(self, call: Call) -> Reply:
        """With how far its count of past events is."""
        meter = await self._meters.get(call.account, call.path["code"])
        backfill = await self._usage.backfill(meter)
        return call.success(meter={**meter_document(meter), "backfill": backfill_document(backfill)})

    async def rename(self, call: Call) -> Reply:
        document = await call.document()
        done = await self._meters.rename(act_of(call, document), call.path["code"], read_changes(document))
        return answer(call, done, meter=meter_document(done.answer))

    async def archive(self, call: Call) -> Reply:
        done = await self._meters.archive(act_of(call), call.path["code"])
        return answer(call, done, meter=meter_document(done.answer))
