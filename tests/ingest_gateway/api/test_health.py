"""Health, readiness and metrics over HTTP."""

import asyncio
from contextlib import suppress

import pytest

from ingest_gateway.api.health import Health
from schemas.errors import StoreFailed, Unready
from schemas.logger import NullLogger
from tests.ingest_gateway.conftest import InMemoryApp

pytestmark = pytest.mark.anyio


async def fine() -> None:
    """A check that passes."""


async def broken() -> None:
    raise StoreFailed("disk /srv/secret is full")


async def test_alive_needs_no_key(in_memory_app: InMemoryApp) -> None:
    """A running process is alive; HEAD works too, for load balancers."""
    assert (await in_memory_app.client.get("/healthz")).json()["status"] == "ok"
    assert (await in_memory_app.client.head("/healthz")).status_code == 200


async def test_the_service_is_ready_when_all_parts_are(in_memory_app: InMemoryApp) -> None:
    """The response names each part with its state."""
    async with in_memory_app.serve(ports={"checks": {"log": fine, "store": fine}}) as client:
        reply = await client.get("/readyz")
    assert reply.status_code == 200
    assert reply.json()["checks"] == {"log": "ok", "store": "ok"}


async def test_one_broken_part_makes_the_service_not_ready(in_memory_app: InMemoryApp) -> None:
    """The response is a 503 in the envelope that names the part and reveals no secret."""
    async with in_memory_app.serve(ports={"checks": {"log": fine, "store": broken}}) as client:
        reply = await client.get("/readyz")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (503, "NOT_READY")
    assert error["details"] == {"log": "ok", "store": "failed"}
    assert "secret" not in reply.text


async def test_a_cause_that_may_be_public_is_shown(in_memory_app: InMemoryApp) -> None:
    """So that an operator sees it without the logs."""

    async def full() -> None:
        raise Unready("the log's disk is full: 0 bytes are free")

    async with in_memory_app.serve(ports={"checks": {"log": full}}) as client:
        reply = await client.get("/readyz")
    assert reply.json()["error"]["details"] == {"log": "failed: the log's disk is full: 0 bytes are free"}


async def test_a_check_that_keeps_failing_is_logged_once() -> None:
    """However often a load balancer asks."""
    lines: list[str] = []

    class Lines(NullLogger):
        def error(self, event: str, **fields: object) -> None:
            lines.append(f"{event}: {fields['cause']}")

    health = Health({"store": broken}, Lines())
    for _ in range(100):
        assert await health._state("store") == "failed"
    assert lines == ["a readiness check fails: disk /srv/secret is full"]


async def test_a_part_that_hangs_is_not_ready() -> None:
    """A hanging check, even one that ignores cancellation, delays the response only up to the timeout."""
    queries, may_answer = [], asyncio.Event()

    async def stubborn() -> None:
        queries.append("once")
        while not may_answer.is_set():
            with suppress(asyncio.CancelledError):
                await may_answer.wait()

    health = Health({"log": stubborn}, NullLogger(), seconds=0.01)
    assert [await health._state("log") for _ in range(3)] == ["no answer"] * 3
    assert queries == ["once"]
    may_answer.set()
    assert await health._state("log") == "ok"
    assert await health._state("log") == "ok"
    assert queries == ["once", "once"]


async def test_metrics_are_shown(in_memory_app: InMemoryApp) -> None:
    """The page is the adapter's text with its media type."""
    async with in_memory_app.serve(render_metrics=lambda: b"up 1\n", metrics_type="text/plain; version=9") as client:
        reply = await client.get("/metrics")
    assert (reply.text, reply.headers["content-type"]) == ("up 1\n", "text/plain; version=9")
