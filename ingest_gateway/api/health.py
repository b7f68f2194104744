"""`/healthz`, `/readyz` and `/metrics`: the state of the process for its operators, without a key."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from msgspec import Meta

from ingest_gateway.http.envelope import Response, Success, success
from ingest_gateway.http.errors import NotReady
from ingest_gateway.http.pages import ReadOnlyPage
from ingest_gateway.http.route import Description, PublicRoute
from schemas.errors import Unready
from schemas.logger import CauseLog, Logger


class Alive(Success, kw_only=True):
    """The process answers."""

    status: str


class Ready(Success, kw_only=True):
    """Every part works."""

    status: str
    checks: dict[str, str]


CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[object]]
"""Raises an error when its part does not work."""


class Health:
    """A process that answers is alive; a process whose checks all pass is ready."""

    def __init__(self, checks: Mapping[str, Check], logger: Logger, seconds: float = CHECK_SECONDS) -> None:
        self._checks = checks
        self._causes = CauseLog(logger, time.monotonic)
        self._seconds = seconds
        self._running: dict[str, asyncio.Future[object]] = {}
        """Checks in flight, which are not started again: a query to a store cannot be withdrawn."""

    def routes(self) -> list[PublicRoute]:
        alive = Description("Check that the process is alive", response_type=Alive, operation_id="get_health")
        ready = Description(
            "Check that every part works", response_type=Ready, operation_id="get_readiness", error_statuses=(503,)
        )
        return [
            PublicRoute("/healthz", ReadOnlyPage(self.alive), alive),
            PublicRoute("/readyz", ReadOnlyPage(self.ready), ready),
        ]

    async def alive(self, request_id: str) -> Response:
        return success(request_id, {"status": "ok"})

    async def ready(self, request_id: str) -> Response:
        names = list(self._checks)
        states = dict(zip(names, await asyncio.gather(*map(self._state, names)), strict=True))
        broken = [name for name, state in states.items() if state != "ok"]
        if broken:
            raise NotReady(f"not ready: {', '.join(broken)}; the logs state why", details=states)
        return success(request_id, {"status": "ready", "checks": states})

    async def _state(self, name: str) -> str:
        """`ok`, `failed` or `no answer`. Of reasons only those of `Unready` are shown, because the page is public."""
        check = self._running.get(name) or asyncio.ensure_future(self._checks[name]())
        self._running[name] = check
        await asyncio.wait((check,), timeout=self._seconds)
        if not check.done():
            self._causes.failed(name, "a readiness check fails", "no answer in time", check=name)
            return "no answer"
        self._running.pop(name, None)
        error = asyncio.CancelledError() if check.cancelled() else check.exception()
        if error is None:
            self._causes.recovered(name, "a readiness check passes again")
            return "ok"
        self._causes.failed(name, "a readiness check fails", str(error) or repr(error), check=name)
        return f"failed: {error}" if isinstance(error, Unready) else "failed"


PrometheusText = Annotated[str, Meta(examples=["process_resident_memory_bytes 4.7e+08\n"])]


class MetricsPage:
    """Serves the metrics that `render` makes, as text."""

    def __init__(self, render: Callable[[], bytes], media_type: str) -> None:
        self._render = render
        self._media_type = media_type.encode()

    def routes(self) -> list[PublicRoute]:
        media_type = self._media_type.partition(b";")[0].decode()
        description = Description(
            "Get metrics for Prometheus", operation_id="get_metrics", other_responses={media_type: PrometheusText}
        )
        return [PublicRoute("/metrics", ReadOnlyPage(self.show), description)]

    async def show(self, _request_id: str) -> Response:
        return Response(200, self._render(), self._media_type)
