"""Posting events, from the bytes on the wire to frames in the log and verdicts in the response."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import zstandard

from ingest_gateway.api.app_ports import AppPolicy
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.ingest.batch import BatchOutcome
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.recent_keys import RecentKeys
from schemas.account import Scope
from schemas.errors import Overloaded
from schemas.event import RejectCode, Rejection
from schemas.frame import decode
from schemas.hashing import BodyHashes, KeyHashes
from schemas.metrics import NullMetrics
from schemas.timestamps import DAY, to_iso, to_micros
from tests.ingest_gateway.conftest import InMemoryApp
from tests.ingest_gateway.fakes import NOW
from tests.published_requests import QUICKSTART

pytestmark = pytest.mark.anyio

INGEST = "/v1/events/ingest"


class NothingKnown:
    """Key hints that never know a key."""

    async def body_hashes(self, keys: KeyHashes, now: int) -> Mapping[bytes, int]:
        return {}

    def remember(self, keys: KeyHashes, bodies: BodyHashes, arrival: int) -> None:
        """Records nothing."""


@pytest.fixture
async def client(in_memory_app: InMemoryApp) -> AsyncIterator[httpx.AsyncClient]:
    """The app with a real intake."""
    recent = RecentKeys(1024, 35 * DAY)
    policy = IntakePolicy(partitions=2)
    async with (
        Intake(in_memory_app.sink, NothingKnown(), recent, in_memory_app.clock, policy, NullMetrics()) as intake,
        in_memory_app.serve(ports={"intake": intake}) as client,
    ):
        yield client


def event(key: str = "k1", **changes: Any) -> dict[str, Any]:
    return {
        "event_name": "api.request",
        "idempotency_key": key,
        "customer_id": "c1",
        "timestamp": to_iso(NOW),
        "properties": {"tokens": 150},
    } | changes


def stored(in_memory_app: InMemoryApp) -> list[dict[str, Any]]:
    return [row for frame in in_memory_app.sink.frames for row in decode(frame.payload).to_pylist()]


async def test_the_quickstart_works_verbatim(in_memory_app: InMemoryApp, client: httpx.AsyncClient) -> None:
    """The documented first request, with its timestamp of 2024, is accepted from a key with the backfill scope."""
    headers = await in_memory_app.key(None, Scope.ADMIN, Scope.BACKFILL) | {"content-type": "application/json"}
    reply = await client.post(INGEST, headers=headers, content=QUICKSTART)
    assert reply.status_code == 200
    assert reply.json() == {
        "success": True,
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "request_id": reply.headers["x-request-id"],
    }
    (row,) = stored(in_memory_app)
    assert (row["request_id"], row["timestamp"]) == (
        reply.headers["x-request-id"],
        to_micros(datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
    )


async def test_without_backfill_old_events_are_refused(in_memory_app: InMemoryApp, client: httpx.AsyncClient) -> None:
    """The same request from an ordinary key is refused with the reason."""
    reply = await client.post(INGEST, headers=await in_memory_app.key(None, Scope.ADMIN), content=QUICKSTART)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert [(bad["index"], bad["code"], bad["field"]) for bad in error["details"]] == [
        (0, "TIMESTAMP_TOO_OLD", "timestamp")
    ]


async def test_a_batch_has_each_verdict(
    in_memory_app: InMemoryApp, auth: dict[str, str], client: httpx.AsyncClient
) -> None:
    """Accepted and duplicates are counted; the rest is listed with index, key, code, field and message."""
    events = [event("a"), event("b"), event("a"), event("b", customer_id="other"), event("c", event_name="")]
    reply = (await client.post(INGEST, headers=auth, json={"events": events})).json()
    assert (reply["success"], reply["accepted"], reply["duplicates"]) == (True, 2, 1)
    assert [(bad["index"], bad["idempotency_key"], bad["code"]) for bad in reply["rejected"]] == [
        (3, "b", "IDEMPOTENCY_CONFLICT"),
        (4, "c", "LENGTH_OUT_OF_RANGE"),
    ]
    assert set(reply["rejected"][0]) == {"index", "idempotency_key", "code", "field", "message"}
    assert {row["idempotency_key"] for row in stored(in_memory_app)} == {"a", "b"}


async def test_a_single_event_has_its_verdict(
    in_memory_app: InMemoryApp, auth: dict[str, str], client: httpx.AsyncClient
) -> None:
    """One bare event is accepted, then a duplicate with the same usage id, then a conflict."""
    first = await client.post(INGEST, headers=auth, json=event())
    body = first.json()
    assert body == {
        "success": True,
        "status": "accepted",
        "usage_id": body["usage_id"],
        "cost": [],
        "customer_balances": [],
        "request_id": first.headers["x-request-id"],
    }
    again = (await client.post(INGEST, headers=auth, json=event())).json()
    assert (again["status"], again["usage_id"]) == ("duplicate", body["usage_id"])
    other = await client.post(INGEST, headers=auth, json=event(customer_id="c2"))
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    invalid = await client.post(INGEST, headers=auth, json=event(timestamp="today"))
    assert (invalid.status_code, invalid.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert invalid.json()["error"]["details"][0]["field"] == "timestamp"


async def test_a_batch_of_invalid_events_is_400(
    in_memory_app: InMemoryApp, auth: dict[str, str], client: httpx.AsyncClient
) -> None:
    """The error's details list the events, and nothing is stored."""
    reply = await client.post(INGEST, headers=auth, json={"events": [event(event_name=5), event(customer_id="")]})
    assert reply.status_code == 400
    assert [bad["index"] for bad in reply.json()["error"]["details"]] == [0, 1]
    assert stored(in_memory_app) == []


@pytest.mark.parametrize("body", ["", "nonsense", "[1", '{"events": []}', '{"events": 5}', "null", '{"a": 1}', "\x00"])
async def test_a_body_without_events_is_400(auth: dict[str, str], client: httpx.AsyncClient, body: str) -> None:
    """The refusal is in the envelope."""
    reply = await client.post(INGEST, headers=auth, content=body)
    assert (reply.status_code, reply.json()["success"]) == (400, False)


async def test_strict_stores_all_or_nothing(
    in_memory_app: InMemoryApp, auth: dict[str, str], client: httpx.AsyncClient
) -> None:
    """With one invalid event or one conflict, nothing is stored; the details list the refused events."""
    await client.post(INGEST, headers=auth, json=event("known"))
    before = len(stored(in_memory_app))
    for bad in (event("x", event_name=""), event("known", customer_id="other")):
        body = {"events": [event("known"), event("fresh"), bad]}
        reply = await client.post(f"{INGEST}?strict=true", headers=auth, json=body)
        assert reply.status_code == 400
        assert [each["index"] for each in reply.json()["error"]["details"]] == [2]
        assert len(stored(in_memory_app)) == before
    reply = await client.post(f"{INGEST}?strict=true", headers=auth, json={"events": [event("fresh")]})
    assert reply.json()["accepted"] == 1


async def test_unknown_query_parameters_are_refused(auth: dict[str, str], client: httpx.AsyncClient) -> None:
    """A misspelt `strict` must not store half a batch."""
    reply = await client.post(f"{INGEST}?strickt=true", headers=auth, json=event())
    assert "did you mean strict?" in reply.json()["error"]["message"]
    assert (await client.post(f"{INGEST}?strict=yes", headers=auth, json=event())).status_code == 400


async def test_ndjson_has_one_event_per_line(auth: dict[str, str], client: httpx.AsyncClient) -> None:
    """Each line has its own verdict."""
    lines = "\n".join([json.dumps(event("a")), "{broken", json.dumps(event("b")), ""])
    reply = await client.post(INGEST, headers=auth | {"content-type": "application/x-ndjson"}, content=lines)
    assert reply.json()["accepted"] == 2
    assert [bad["index"] for bad in reply.json()["rejected"]] == [1]


def cloud_event(key: str = "ce1", **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": key,
        "source": "test",
        "type": "api.request",
        "subject": "c1",
        "time": to_iso(NOW),
        "data": {"tokens": 1},
    } | changes


@pytest.mark.parametrize("media_type", ["application/cloudevents+json", "application/json"])
async def test_openmeter_clients_get_204(
    in_memory_app: InMemoryApp, auth: dict[str, str], client: httpx.AsyncClient, media_type: str
) -> None:
    """One CloudEvent at their path is answered without a body, the second time too."""
    headers = auth | {"content-type": media_type}
    for _ in range(2):
        reply = await client.post("/api/v1/events", headers=headers, content=json.dumps(cloud_event()))
        assert (reply.status_code, reply.content) == (204, b"")
        assert "content-type" not in reply.headers
    assert [row["customer_id"] for row in stored(in_memory_app)] == ["c1"]


async def test_openmeter_batches_are_all_or_nothing(
    in_memory_app: InMemoryApp, auth: dict[str, str], client: httpx.AsyncClient
) -> None:
    """A batch with an invalid event is refused whole, because a 204 could not name the event."""
    headers = auth | {"content-type": "application/cloudevents-batch+json"}
    bad = [cloud_event("a"), cloud_event("b", subject="")]
    reply = await client.post("/api/v1/events", headers=headers, content=json.dumps(bad))
    assert (reply.status_code, reply.json()["error"]["details"][0]["index"]) == (400, 1)
    assert stored(in_memory_app) == []
    good = json.dumps([cloud_event("a"), cloud_event("b")])
    assert (await client.post("/api/v1/events", headers=headers, content=good)).status_code == 204
    repeated = await client.post(INGEST, headers=headers, content=good)
    assert repeated.json()["duplicates"] == 2


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_compressed_bodies_are_read(auth: dict[str, str], client: httpx.AsyncClient, encoding: str) -> None:
    """gzip and zstd are decompressed; a bomb and a truncated body are refused."""
    compress = gzip.compress if encoding == "gzip" else zstandard.ZstdCompressor().compress
    headers = auth | {"content-encoding": encoding}
    good = compress(json.dumps({"events": [event()]}).encode())
    assert (await client.post(INGEST, headers=headers, content=good)).json()["accepted"] == 1
    bomb = compress(b" " * 20_000_000)
    assert (await client.post(INGEST, headers=headers, content=bomb)).status_code == 413
    assert (await client.post(INGEST, headers=headers, content=good[:-9])).status_code == 400


async def test_unknown_encodings_are_refused(auth: dict[str, str], client: httpx.AsyncClient) -> None:
    """The refusal names the supported encodings."""
    reply = await client.post(INGEST, headers=auth | {"content-encoding": "br"}, content=b"x")
    assert reply.status_code == 400
    assert "gzip" in reply.json()["error"]["message"]


async def test_ten_megabytes_is_the_limit(auth: dict[str, str], client: httpx.AsyncClient) -> None:
    """A larger body is refused by its announced length, or by its actual length where none is announced."""
    announced = await client.post(INGEST, headers=auth, content=b" " * 10_000_001)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1_000_000

    arriving = await client.post(INGEST, headers=auth, content=pieces())
    for reply in (announced, arriving):
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert reply.headers["connection"] == "close"


async def test_back_pressure_is_503(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """When the log falls behind, or memory is full, the response has `Retry-After`."""
    in_memory_app.intake.answer = Overloaded("the log is full", retry_after=7)
    reply = await in_memory_app.client.post(INGEST, headers=auth, json=event())
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "7")
    assert reply.json()["error"]["code"] == "UNAVAILABLE"
    full = MemoryBudget(10, NullMetrics())
    full.reserve(10)
    async with in_memory_app.serve(ports={"budget": full}) as client:
        reply = await client.post(INGEST, headers=auth, json=event())
    assert (reply.status_code, reply.headers["connection"]) == (503, "close")


async def test_every_request_releases_its_memory(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """After any outcome a request holds nothing of the budget."""
    budget = MemoryBudget(10**6, NullMetrics())
    conflict = Rejection(index=0, idempotency_key="k", code=RejectCode.CONFLICT, field=None, message="m")
    endings = [
        None,
        Overloaded("full"),
        RuntimeError("oops"),
        BatchOutcome(accepted=0, duplicates=0, rejections=(conflict,)),
    ]
    async with in_memory_app.serve(ports={"budget": budget}) as client:
        for ending in endings:
            in_memory_app.intake.answer = ending
            await client.post(INGEST, headers=auth, json=event())
            await client.post(INGEST, headers=auth, content=b"broken")
    assert budget._held == 0


async def test_a_smaller_limit_is_enforced(in_memory_app: InMemoryApp, auth: dict[str, str]) -> None:
    """The operator sets the limit."""
    async with in_memory_app.serve(policy=AppPolicy(partitions=2, body_bytes=100)) as client:
        assert (await client.post(INGEST, headers=auth, content=b"x" * 101)).status_code == 413
