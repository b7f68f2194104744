"""The ports, the policy and the context (clock, logs, metrics) that the HTTP app is built from."""

import secrets
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ingest_gateway.api.health import Check
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.http.route import PublicRoute, Route
from ingest_gateway.ingest.fan_out import BatchIntake, FanOutPolicy
from ingest_gateway.ports import (
    Accounts,
    ApiKeys,
    EventReader,
    FanOuts,
    FrameSink,
    MeterCatalog,
    ProcessingStatus,
    ReplayResults,
    UsageQueries,
    UsageVerification,
)
from schemas.event import MAX_BODY_BYTES
from schemas.ids import Randomness
from schemas.logger import Logger, NullLogger
from schemas.metrics import Metrics, NullMetrics


class AppPorts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the app calls."""

    api_keys: ApiKeys
    accounts: Accounts
    meters: MeterCatalog
    fan_outs: FanOuts
    intake: BatchIntake
    sink: FrameSink
    usage: UsageQueries
    verification: UsageVerification
    events: EventReader
    status: ProcessingStatus
    replay_results: ReplayResults
    budget: MemoryBudget
    checks: Mapping[str, Check] = {}
    """The readiness checks by name."""
    billing_routes: Sequence[Route] = ()
    """The routes of `rating.api`."""
    public_pages: Sequence[PublicRoute] = ()
    """The billing pages that need no key; one page may answer several methods."""


class AppPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's settings of the app."""

    partitions: int
    api_per_minute: int = 1000
    """API requests of an account per minute, without event posts; 0 sets no limit."""
    ingest_per_minute: int = 0
    """Event posts of an account per minute; 0 sets no limit."""
    fan_out: FanOutPolicy = FanOutPolicy()
    body_bytes: int = MAX_BODY_BYTES
    body_seconds: float = 30.0
    """The timeout of a body."""


class AppContext(msgspec.Struct, frozen=True, kw_only=True):
    """Clocks, randomness, logs and metrics."""

    clock: Callable[[], int]
    """Microseconds since 1970."""
    arrival: Callable[[], int]
    """The arrival time of frames: microseconds that never decrease, even if the clock does."""
    timer: Callable[[], float]
    """Monotonic seconds."""
    below: Randomness = secrets.randbelow
    logger: Logger = NullLogger()
    bind_request: Callable[[str], object] | None = None
    """Binds the request id to every log line of the request's task."""
    metrics: Metrics = NullMetrics()
    render_metrics: Callable[[], bytes] = bytes
    metrics_type: str = "text/plain; charset=utf-8"
