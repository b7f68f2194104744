"""The ports, policies and context of the gateway's app, for any log, store and ledger."""

from collections.abc import Callable, Mapping

from ingest_gateway.api.app_ports import AppContext, AppPolicy, AppPorts
from ingest_gateway.api.health import Check
from ingest_gateway.http.memory_budget import MemoryBudget
from ingest_gateway.ingest.fan_out import FanOutPolicy
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_queue import IntakePolicy
from ingest_gateway.ingest.judge import AgeLimits
from ingest_gateway.ports import FrameSink, ProcessingStatus
from rating.api.endpoints import billing_endpoints, billing_pages
from rating.api.ports import BillingPorts, InvoiceRuns
from rating.ledger.ledger import Ledger
from rating.runs.run_service import InvoiceRunService
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.event_reader import SqlEventReader
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.backends.sql.verification import SqlVerification
from stream_processors.ports import FrameLog, SeenKeys
from tallyhouse.runtime.clock import timer
from tallyhouse.runtime.logs import bind_request
from tallyhouse.runtime.prometheus import CONTENT_TYPE
from tallyhouse.runtime.settings import ServiceSettings
from tallyhouse.runtime.startup import Runtime


def app_ports(
    settings: ServiceSettings,
    runtime: Runtime,
    *,
    ledger: Ledger,
    run_service: InvoiceRunService,
    log: FrameLog,
    sink: FrameSink,
    intake: Intake,
    threads: AsyncSqlClient,
    seen: SeenKeys,
    status: ProcessingStatus,
    checks: Mapping[str, Check],
) -> AppPorts:
    """Returns the app's ports. `checks` are readiness checks besides those of log, ledger and store."""
    reader = SqlUsageReader(threads, settings.partitions)
    replayed = ReplayLookup(seen, settings.partitions)
    billing = billing_ports(ledger, run_service, runtime.clock, settings.public_url or settings.url)
    return AppPorts(
        api_keys=ledger.api_keys,
        accounts=ledger.accounts,
        meters=ledger.meters,
        fan_outs=ledger.meters,
        intake=intake,
        sink=sink,
        usage=reader,
        verification=SqlVerification(threads, replayed, ledger.meters),
        events=SqlEventReader(threads, replayed, runtime.clock),
        status=status,
        replay_results=ledger.reject_replays,
        budget=MemoryBudget(settings.body_budget, runtime.metrics),
        checks={
            "log": lambda: log.first_offset(0),
            "ledger": ledger.meters.newest_version,
            "store": reader.watermark,
            **checks,
        },
        billing_routes=billing_endpoints(billing),
        public_pages=billing_pages(billing),
    )


def billing_ports(ledger: Ledger, run_service: InvoiceRuns, clock: Callable[[], int], public_url: str) -> BillingPorts:
    return BillingPorts(
        customers=ledger.customers,
        plans=ledger.plans,
        subscriptions=ledger.subscriptions,
        credits=ledger.credits,
        signup_links=ledger.signup_links,
        invoices=ledger.invoices,
        public_invoices=ledger.invoices,
        credit_notes=ledger.credit_notes,
        settings=ledger.billing_settings,
        runs=run_service,
        clock=clock,
        audit=ledger.audit,
        public_url=public_url,
    )


def app_policy(settings: ServiceSettings) -> AppPolicy:
    return AppPolicy(
        partitions=settings.partitions,
        api_per_minute=settings.api_rate_limit,
        ingest_per_minute=settings.ingest_rate_limit,
        fan_out=FanOutPolicy(free=settings.fan_out_free, rows=settings.fan_out_rows),
    )


def build_app_context(arrival: Callable[[], int], runtime: Runtime) -> AppContext:
    return AppContext(
        clock=runtime.clock,
        arrival=arrival,
        timer=timer,
        logger=runtime.logger,
        bind_request=bind_request,
        metrics=runtime.metrics,
        render_metrics=runtime.metrics.render,
        metrics_type=CONTENT_TYPE,
    )


def intake_policy(settings: ServiceSettings) -> IntakePolicy:
    return IntakePolicy(
        partitions=settings.partitions,
        age_limits=AgeLimits(oldest=settings.event_max_age, furthest_ahead=settings.event_max_ahead),
    )
