"""The HTTP app, as a value: built from the ports it needs and a policy, with no state outside of it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import msgspec
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest_gateway.api.health import Check, Health, MetricsPage
from ingest_gateway.api.routes_events import EventRoutes
from ingest_gateway.api.routes_ingest import CLOUDEVENTS, INGEST, BatchIntake, IngestRoutes
from ingest_gateway.api.routes_keys import KeyRoutes
from ingest_gateway.api.routes_meters import MeterRoutes
from ingest_gateway.api.routes_rejects import RejectRoutes
from ingest_gateway.api.routes_status import StatusRoutes
from ingest_gateway.api.routes_usage import UsageRoutes
from ingest_gateway.api.throughput import Throughput
from ingest_gateway.http.auth import Authenticator, AuthorizedRoute, MethodRouter
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.middleware import RequestIds, RequestMiddleware
from ingest_gateway.http.rate_limit import RateLimit
from ingest_gateway.http.request import PublicRoute, Route
from ingest_gateway.ingest.replay import RejectReplayer
from ingest_gateway.openapi.document import reference_routes
from ingest_gateway.ports import (
    Accounts,
    ApiKeys,
    EventReader,
    FrameSink,
    MeterCatalog,
    ProcessingStatus,
    ReplayResults,
    UsageQueries,
)
from schemas.errors import NotFound
from schemas.event import MAX_BODY_BYTES
from schemas.ids import Randomness
from schemas.logger import Logger, NullLogger
from schemas.metrics import Metrics, NullMetrics


class AppPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What the app asks."""

    api_keys: ApiKeys
    accounts: Accounts
    meters: MeterCatalog
    intake: BatchIntake
    sink: FrameSink
    usage: UsageQueries
    events: EventReader
    status: ProcessingStatus
    replay_results: ReplayResults
    budget: MemoryBudget
    checks: Mapping[str, Check] = {}
    """What must work for the service to be ready, by name."""
    more: Sequence[Route] = ()
    """Endpoints that other packages bring along."""
    pages: Sequence[PublicRoute] = ()
    """What they show to people without a key; one page may answer several methods."""


class AppPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decides."""

    partitions: int
    api_per_minute: int = 1000
    """API requests of an account per minute, event posts not counted; 0 sets no limit."""
    ingest_per_minute: int = 0
    """Event posts of an account per minute; 0 sets no limit."""
    body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 30.0
    """How long a body may take to arrive."""


class AppContext(msgspec.Struct, frozen=True, kw_only=True):
    """Time, chance, and where words and numbers go."""

    clock: Callable[[], int]
    """Microseconds since 1970."""
    arrival: Callable[[], int]
    """The stamp of what is put into the log now: never goes back, whatever the clock does."""
    timer: Callable[[], float]
    """Seconds that only ever grow."""
    below: Randomness = secrets.randbelow
    logger: Logger = NullLogger()
    bind_request: Callable[[str], object] | None = None
    """Tells the logs of everything a request's task calls whose request it is."""
    metrics: Metrics = NullMetrics()
    render_metrics: Callable[[], bytes] = bytes
    metrics_type: str = "text/plain; charset=utf-8"


def create_app(ports: AppPorts, policy: AppPolicy, context: AppContext) -> ASGIApp:
    """The whole app. Everything in it belongs to the event loop that serves it."""
    authenticator = Authenticator(ports.api_keys, context.timer, context.clock)
    rates = {
        True: RateLimit(policy.ingest_per_minute, context.clock),
        False: RateLimit(policy.api_per_minute, context.clock),
    }

    def authorized(endpoint: Route) -> AuthorizedRoute:
        rate = rates[endpoint.path in (INGEST, CLOUDEVENTS)]
        return AuthorizedRoute(endpoint, authenticator, rate, ports.budget, policy.body_seconds)

    table = routes(ports, policy, context, authenticator)
    mounted = [
        StarletteRoute(path, MethodRouter({endpoint.method: authorized(endpoint) for endpoint in group}))
        for path, group in groupby(table, key=lambda endpoint: endpoint.path)
    ]
    pages = [*ports.pages, *health_pages(ports.checks, context)]
    return with_middleware([*mounted, *public_routes([*pages, *reference_routes(table, pages)])], rates[False], context)


def create_health_app(checks: Mapping[str, Check], context: AppContext) -> ASGIApp:
    """Health and numbers alone: of a process that answers nobody else, or that shares its port with others."""
    return with_middleware(public_routes(health_pages(checks, context)), RateLimit(0, context.clock), context)


def with_middleware(mounted: Sequence[StarletteRoute], rate: RateLimit, context: AppContext) -> ASGIApp:
    return RequestMiddleware(
        Router(mounted, redirect_slashes=False, default=_no_route),
        RequestIds(context.below),
        default_rate_headers=rate.default_headers,
        timer=context.timer,
        metrics=context.metrics,
        logger=context.logger,
        bind_request=context.bind_request,
    )


def routes(ports: AppPorts, policy: AppPolicy, context: AppContext, authenticator: Authenticator) -> list[Route]:
    """The table of everything that asks for a key; posting events first, for it is asked most."""
    rates = Throughput(context.clock)
    replays = RejectReplayer(ports.sink, context.arrival, policy.partitions)
    return [
        *IngestRoutes(ports.intake, rates, policy.body_bytes).routes(),
        *UsageRoutes(ports.usage, ports.meters, context.clock).routes(),
        *EventRoutes(ports.events, ports.meters).routes(),
        *MeterRoutes(ports.meters, ports.usage).routes(),
        *RejectRoutes(ports.events, ports.meters, replays, ports.replay_results).routes(),
        *KeyRoutes(ports.api_keys, ports.accounts, authenticator, context.clock).routes(),
        *StatusRoutes(ports.status, ports.usage, ports.events, rates).routes(),
        *ports.more,
    ]


def health_pages(checks: Mapping[str, Check], context: AppContext) -> list[PublicRoute]:
    metrics = MetricsPage(context.render_metrics, context.metrics_type)
    return [*Health(checks, context.logger).routes(), *metrics.routes()]


def public_routes(pages: Sequence[PublicRoute]) -> list[StarletteRoute]:
    return [StarletteRoute(page.path, page.page) for page in {page.path: page for page in pages}.values()]


async def _no_route(scope: Scope, _receive: Receive, _send: Send) -> None:
    if scope["type"] == "http":
        raise NotFound(f"there is nothing at {scope['path'][:200]}")
