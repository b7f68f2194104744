"""Builds the HTTP app from ports, a policy and a context; the app has no state outside itself."""

from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp

from ingest_gateway.api.app_ports import AppContext, AppPolicy, AppPorts
from ingest_gateway.api.health_app import health_pages, public_routes, with_middleware
from ingest_gateway.api.routes_events import EventRoutes
from ingest_gateway.api.routes_ingest import CLOUDEVENTS, INGEST, IngestRoutes
from ingest_gateway.api.routes_keys import KeyRoutes
from ingest_gateway.api.routes_meters import MeterRoutes
from ingest_gateway.api.routes_rejects import RejectRoutes
from ingest_gateway.api.routes_status import StatusRoutes
from ingest_gateway.api.routes_usage import UsageRoutes
from ingest_gateway.api.routes_verification import VerificationRoutes
from ingest_gateway.api.throughput import Throughput
from ingest_gateway.http.auth import Authenticator, AuthorizedRoute
from ingest_gateway.http.rate_limit import RateLimit
from ingest_gateway.http.route import MethodRouter, Route
from ingest_gateway.ingest.fan_out import FanOutLimit
from ingest_gateway.ingest.replay import RejectReplayer
from ingest_gateway.openapi.document import reference_routes


def create_app(ports: AppPorts, policy: AppPolicy, context: AppContext) -> ASGIApp:
    """The whole app. All its parts belong to the event loop that serves it."""
    authenticator = Authenticator(ports.api_keys, context.timer, context.clock)
    rates = {
        True: RateLimit(policy.ingest_per_minute, context.clock),
        False: RateLimit(policy.api_per_minute, context.clock),
    }

    def authorized(route: Route) -> AuthorizedRoute:
        rate = rates[route.path in (INGEST, CLOUDEVENTS)]
        return AuthorizedRoute(route, authenticator, rate, ports.budget, policy.body_seconds)

    table = routes(ports, policy, context, authenticator)
    by_path: dict[str, dict[str, ASGIApp]] = {}
    for route in table:
        by_path.setdefault(route.path, {})[route.method] = authorized(route)
    mounted = [StarletteRoute(path, MethodRouter(by_method)) for path, by_method in by_path.items()]
    pages = [*ports.public_pages, *health_pages(ports.checks, context)]
    return with_middleware([*mounted, *public_routes([*pages, *reference_routes(table, pages)])], rates[False], context)


def routes(ports: AppPorts, policy: AppPolicy, context: AppContext, authenticator: Authenticator) -> list[Route]:
    """Every route that needs a key; posts of events first, because they are the most frequent."""
    rates = Throughput(context.clock)
    intake = FanOutLimit(ports.intake, ports.fan_outs, ports.status, policy.fan_out, context.timer, context.logger)
    replays = RejectReplayer(ports.sink, context.arrival, policy.partitions)
    return [
        *IngestRoutes(intake, rates, policy.body_bytes).routes(),
        *UsageRoutes(ports.usage, ports.meters, context.clock).routes(),
        *VerificationRoutes(ports.verification).routes(),
        *EventRoutes(ports.events, ports.meters).routes(),
        *MeterRoutes(ports.meters, ports.usage).routes(),
        *RejectRoutes(ports.events, ports.meters, replays, ports.replay_results).routes(),
        *KeyRoutes(ports.api_keys, ports.accounts, authenticator, context.clock).routes(),
        *StatusRoutes(ports.status, ports.usage, ports.events, ports.checks.get("log", _unchecked), rates).routes(),
        *ports.billing_routes,
    ]


async def _unchecked() -> None:
    """Of a log without a check nothing bad is known."""
