"""What every process that serves the app hands it, whatever log and store are behind."""

import time
from collections.abc import Callable, Mapping

from ingest_gateway.api import app
from ingest_gateway.api.health import Check
from ingest_gateway.http.memory_budget import Budget
from ingest_gateway.ingest.intake import Intake
from ingest_gateway.ingest.intake_policy import IntakePolicy
from ingest_gateway.ingest.judge import Ages
from ingest_gateway.ports import FrameSink, Status
from rating.api.endpoints import BillingPorts, billing_endpoints, billing_pages
from rating.api.run_ports import Runs
from rating.ledger.ledger import Ledger
from rating.runs.run_service import Desk
from stream_processors.backends.reading.replays import Replayed
from stream_processors.backends.sql.client import SqlThreads
from stream_processors.backends.sql.event_reader import SqlEventReader
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.ports import FrameLog, SeenKeys
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.logs import bind_request
from tallyhouse.runtime.prometheus import CONTENT_TYPE
from tallyhouse.runtime.settings import ServiceSettings


def app_ports(
    settings: ServiceSettings,
    around: Surroundings,
    *,
    ledger: Ledger,
    desk: Desk,
    log: FrameLog,
    sink: FrameSink,
    intake: Intake,
    threads: SqlThreads,
    seen: SeenKeys,
    status: Status,
    checks: Mapping[str, Check],
) -> app.Ports:
    """`checks` are those besides the log's, the ledger's and the store's."""
    reader = SqlUsageReader(threads, settings.partitions)
    billing = billing_ports(ledger, desk, around.clock, settings.public_url or settings.url)
    return app.Ports(
        api_keys=ledger.api_keys,
        accounts=ledger.accounts,
        meters=ledger.meters,
        intake=intake,
        sink=sink,
        usage=reader,
        events=SqlEventReader(threads, Replayed(seen, settings.partitions), around.clock),
        status=status,
        retries=ledger.retries,
        budget=Budget(settings.body_budget, around.metrics),
        checks={
            "log": lambda: log.first_offset(0),
            "ledger": ledger.meters.newest_version,
            "store": reader.watermark,
            **checks,
        },
        more=billing_endpoints(billing),
        pages=billing_pages(billing),
    )


def billing_ports(ledger: Ledger, desk: Runs, clock: Callable[[], int], public_url: str) -> BillingPorts:
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
        runs=desk,
        clock=clock,
        audit=ledger.audit,
        public_url=public_url,
    )


def app_policy(settings: ServiceSettings) -> app.Policy:
    return app.Policy(
        partitions=settings.partitions,
        api_per_minute=settings.api_rate_limit,
        ingest_per_minute=settings.ingest_rate_limit,
    )


def app_surroundings(arrival: Callable[[], int], around: Surroundings) -> app.Surroundings:
    return app.Surroundings(
        clock=around.clock,
        arrival=arrival,
        timer=time.perf_counter,
        logger=around.logger,
        bind_request=bind_request,
        metrics=around.metrics,
        render_metrics=around.metrics.render,
        metrics_type=CONTENT_TYPE,
    )


def intake_policy(settings: ServiceSettings) -> IntakePolicy:
    return IntakePolicy(
        partitions=settings.partitions,
        ages=Ages(oldest=settings.event_max_age, furthest_ahead=settings.event_max_ahead),
    )
