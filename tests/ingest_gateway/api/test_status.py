"""The status has what is known within two seconds, and names what is not."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ingest_gateway.api import routes_status
from schemas.errors import StoreAbsent, StoreFailed, Unready
from schemas.flush import PartitionStatus
from schemas.listing import Page, RejectQuery
from schemas.logger import NullLogger
from schemas.watermark import Watermark
from tests.ingest_gateway.conftest import InMemoryApp
from tests.ingest_gateway.fakes import FakeReader

pytestmark = pytest.mark.anyio


class PartlyAbsentReader(FakeReader):
    """A store whose answers fail, and whose watermark never comes."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def rejects(self, query: RejectQuery) -> Page:
        raise self.error

    async def watermark(self) -> Watermark:
        await asyncio.Event().wait()
        raise AssertionError


class UnknownProgress(FakeReader):
    async def partitions(self) -> Sequence[PartitionStatus]:
        raise StoreFailed("10.0.0.7 refused")


async def status_of(app: InMemoryApp, auth: dict[str, str], **ports: Any) -> Any:
    async with app.serve(ports=ports) as client:
        return await client.get("/v1/status", headers=auth)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (StoreAbsent("the worker is stopped"), "open_rejects: the worker is stopped"),
        (StoreFailed("10.0.0.7 refused"), "open_rejects: it failed; the logs state why"),
    ],
)
async def test_what_does_not_answer_is_missing(
    in_memory_app: InMemoryApp, auth: dict[str, str], error: Exception, shown: str
) -> None:
    """Progress and rates are known to the gateway itself."""

    async def full() -> None:
        raise Unready("the log's disk is full")

    reader = PartlyAbsentReader(error)
    loop = asyncio.get_running_loop()
    began = loop.time()
    reply = await status_of(in_memory_app, auth, usage=reader, events=reader, checks={"log": full})
    assert loop.time() - began < routes_status.STATUS_SECONDS + 10
    assert reply.status_code == 200
    status = reply.json()["status"]
    assert status["partitions"]
    assert (status["open_rejects"], status["watermark"], status["log"]) == (None, None, "the log's disk is full")
    assert status["missing"] == [shown, "watermark: no answer within 2 s"]


async def test_unknown_progress_is_never_shown_as_no_lag(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """An empty list of partitions would look like one."""
    reply = await status_of(in_memory_app, auth, status=UnknownProgress())
    assert reply.status_code == 503
    assert "the progress of the partitions is not known" in reply.json()["error"]["message"]
    assert "10.0.0.7" not in reply.text


async def test_requests_that_cannot_be_served_are_logged_once(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """One line for a cause; a full disk under load wrote hundreds of thousands."""
    lines: list[tuple[str, object]] = []

    class Lines(NullLogger):
        def error(self, event: str, **fields: object) -> None:
            lines.append((event, fields["path"]))

    async with in_memory_app.serve(ports={"status": UnknownProgress()}, logger=Lines()) as client:
        for _ in range(200):
            assert (await client.get("/v1/status", headers=auth)).status_code == 503
    assert lines == [("requests cannot be served", "/v1/status")]
