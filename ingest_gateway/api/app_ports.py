"""What the HTTP app is built from: its ports, its policy and its context (clock, logs, metrics)."""

import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ingest_gateway.api.health import Check
from ingest_gateway.api.routes_ingest import BatchIntake
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.route import PublicRoute, Route
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
    billing_routes: Sequence[Route] = ()
    """The routes of `rating.api`."""
    public_pages: Sequence[PublicRoute] = ()
    """The billing pages that need no key; one page may answer several methods."""


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
