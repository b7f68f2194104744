"""The HTTP app, as a value: built from the ports it needs and a policy, with no state outside of it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest_gateway.api.health import Check, Health, MetricsPage
from ingest_gateway.api.routes_events import EventRoutes
from ingest_gateway.api.routes_ingest import CLOUDEVENTS, INGEST, IngestRoutes, Submits
from ingest_gateway.api.routes_keys import KeyRoutes
from ingest_gateway.api.routes_meters import MeterRoutes
from ingest_gateway.api.routes_rejects import RejectRoutes
from ingest_gateway.api.routes_status import StatusRoutes
from ingest_gateway.api.routes_usage import UsageRoutes
from ingest_gateway.api.throughput import Rates
from ingest_gateway.http.auth import Authenticator
from ingest_gateway.http.guard import Guard, Methods
from ingest_gateway.http.memory_budget import Budget
from ingest_gateway.http.middleware import Edge
from ingest_gateway.http.rate_limit import RateLimit
from ingest_gateway.http.request import Endpoint, OpenEndpoint
from ingest_gateway.http.request_id import RequestIds
from ingest_gateway.ingest.replay import Replays
from ingest_gateway.openapi.pages import reference
from ingest_gateway.ports import Accounts, ApiKeys, EventReader, FrameSink, Meters, Retries, Status, UsageReader
from schemas.errors import NotFound
from schemas.event import BODY_BYTES
from schemas.ids import Randomness
from schemas.logger import Logger, NoLogger
from schemas.metrics import Metrics, NoMetrics


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What the app asks."""

    api_keys: ApiKeys
    accounts: Accounts
    meters: Meters
    intake: Submits
    sink: FrameSink
    usage: UsageReader
    events: EventReader
    status: Status
    retries: Retries
    budget: Budget
    checks: Mapping[str, Check] = {}
    """What must work for the service to be ready, by name."""
    more: Sequence[Endpoint] = ()
    """Endpoints that other packages bring along."""
    pages: Sequence[OpenEndpoint] = ()
    """What they show to people without a key; one page may answer several methods."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decides."""

    partitions: int
    api_per_minute: int = 1000
    """API requests of an account per minute, event posts not counted; 0 sets no limit."""
    ingest_per_minute: int = 0
    """Event posts of an account per minute; 0 sets no limit."""
    body_bytes: int = BODY_BYTES
    body_seconds: float = 30.0
    """How long a body may take to arrive."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Time, chance, and where words and numbers go."""

    clock: Callable[[], int]
    """Microseconds since 1970."""
    arrival: Callable[[], int]
    """The stamp of what is put into the log now: never goes back, whatever the clock does."""
    timer: Callable[[], float]
    """Seconds that only ever grow."""
    below: Randomness = secrets.randbelow
    logger: Logger = NoLogger()
    bind_request: Callable[[str], object] | None = None
    """Tells the logs of everything a request's task calls whose request it is."""
    metrics: Metrics = NoMetrics()
    render_metrics: Callable[[], bytes] = bytes
    metrics_type: str = "text/plain; charset=utf-8"


def create_app(ports: Ports, policy: Policy, around: Surroundings) -> ASGIApp:
    """The whole app. Everything in it belongs to the event loop that serves it."""
    authenticator = Authenticator(ports.api_keys, around.timer, around.clock)
    rates = {
        True: RateLimit(policy.ingest_per_minute, around.clock),
        False: RateLimit(policy.api_per_minute, around.clock),
    }

    def guard(endpoint: Endpoint) -> Guard:
        rate = rates[endpoint.path in (INGEST, CLOUDEVENTS)]
        return Guard(endpoint, authenticator, rate, ports.budget, policy.body_seconds)

    table = endpoints(ports, policy, around, authenticator)
    routes = [
        Route(path, Methods({endpoint.method: guard(endpoint) for endpoint in group}))
        for path, group in groupby(table, key=lambda endpoint: endpoint.path)
    ]
    pages = [*ports.pages, *health_pages(ports.checks, around)]
    return _edged([*routes, *_opened([*pages, *reference(table, pages)])], rates[False], around)


def create_health_app(checks: Mapping[str, Check], around: Surroundings) -> ASGIApp:
    """Health and numbers alone: of a process that answers nobody else, or that shares its port with others."""
    return _edged(_opened(health_pages(checks, around)), RateLimit(0, around.clock), around)


def _edged(routes: Sequence[Route], rate: RateLimit, around: Surroundings) -> ASGIApp:
    return Edge(
        Router(routes, redirect_slashes=False, default=_no_route),
        RequestIds(around.below),
        unrated=rate.untouched,
        timer=around.timer,
        metrics=around.metrics,
        logger=around.logger,
        bind_request=around.bind_request,
    )


def endpoints(ports: Ports, policy: Policy, around: Surroundings, authenticator: Authenticator) -> list[Endpoint]:
    """The table of everything that asks for a key; posting events first, for it is asked most."""
    rates = Rates(around.clock)
    replays = Replays(ports.sink, around.arrival, policy.partitions)
    return [
        *IngestRoutes(ports.intake, rates, policy.body_bytes).endpoints(),
        *UsageRoutes(ports.usage, ports.meters, around.clock).endpoints(),
        *EventRoutes(ports.events, ports.meters).endpoints(),
        *MeterRoutes(ports.meters, ports.usage).endpoints(),
        *RejectRoutes(ports.events, ports.meters, replays, ports.retries).endpoints(),
        *KeyRoutes(ports.api_keys, ports.accounts, authenticator, around.clock).endpoints(),
        *StatusRoutes(ports.status, ports.usage, ports.events, rates).endpoints(),
        *ports.more,
    ]


def health_pages(checks: Mapping[str, Check], around: Surroundings) -> list[OpenEndpoint]:
    metrics = MetricsPage(around.render_metrics, around.metrics_type)
    return [*Health(checks, around.logger).endpoints(), *metrics.endpoints()]


def _opened(pages: Sequence[OpenEndpoint]) -> list[Route]:
    return [Route(page.path, page.page) for page in {page.path: page for page in pages}.values()]


async def _no_route(scope: Scope, _receive: Receive, _send: Send) -> None:
    if scope["type"] == "http":
        raise NotFound(f"there is nothing at {scope['path'][:200]}")
