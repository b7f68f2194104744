"""The app of health and metrics alone, and the parts that both apps share."""

from collections.abc import Mapping, Sequence

from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest_gateway.api.app_ports import AppContext
from ingest_gateway.api.health import Check, Health, MetricsPage
from ingest_gateway.http.middleware import RequestIds, RequestMiddleware
from ingest_gateway.http.rate_limit import RateLimit
from ingest_gateway.http.route import PublicRoute
from schemas.errors import NotFound


def create_health_app(checks: Mapping[str, Check], context: AppContext) -> ASGIApp:
    """Health and metrics alone, for a process that serves no API or shares its port with others."""
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


def health_pages(checks: Mapping[str, Check], context: AppContext) -> list[PublicRoute]:
    metrics = MetricsPage(context.render_metrics, context.metrics_type)
    return [*Health(checks, context.logger).routes(), *metrics.routes()]


def public_routes(pages: Sequence[PublicRoute]) -> list[StarletteRoute]:
    return [StarletteRoute(page.path, page.page) for page in {page.path: page for page in pages}.values()]


async def _no_route(scope: Scope, _receive: Receive, _send: Send) -> None:
    if scope["type"] == "http":
        raise NotFound(f"there is nothing at {scope['path'][:200]}")
