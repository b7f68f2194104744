"""Invoice runs within a serving process: on request and on a schedule."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rating.ledger.ledger import Ledger
from rating.runs.run_service import InvoiceRunService
from schemas.ids import new_cuid
from schemas.timestamps import MINUTE, SECOND
from stream_processors.backends.reading.replays import ReplayLookup
from stream_processors.backends.sql.client import AsyncSqlClient
from stream_processors.backends.sql.recount import SqlRecount
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.ports import SeenKeys
from tallyhouse.runtime.settings import ServiceSettings
from tallyhouse.runtime.startup import Runtime

_FIRST_RUN_DELAY = MINUTE
"""After the start. Frames left in the log are usually counted by then; otherwise they are billed as late usage."""


@asynccontextmanager
async def open_run_service(
    settings: ServiceSettings, runtime: Runtime, *, ledger: Ledger, threads: AsyncSqlClient, seen: SeenKeys
) -> AsyncIterator[InvoiceRunService]:
    """Opens the invoice run service and its schedule. On exit, a run is interrupted; its finished invoices stay."""
    run_service = InvoiceRunService(
        ledger.billing,
        ledger.invoice_runs,
        ledger.invoices,
        usage=SqlUsageReader(threads, settings.partitions),
        recount=SqlRecount(threads, ReplayLookup(seen, settings.partitions)),
        meters=ledger.meters,
        clock=runtime.clock,
        new_id=lambda: new_cuid(runtime.clock() * 1000 // SECOND),
        # The last event of a period may be this late: until it is accepted, plus until it is counted.
        late_window=settings.event_max_age + settings.billing_grace,
        logger=runtime.logger,
    )
    schedule = asyncio.create_task(_bill_on_schedule(run_service, settings, runtime))
    try:
        yield run_service
    finally:
        schedule.cancel()
        await asyncio.wait([schedule])
        await run_service.close()


async def _bill_on_schedule(run_service: InvoiceRunService, settings: ServiceSettings, runtime: Runtime) -> None:
    # Several processes may do this at the same time: each period is billed exactly once. The first run follows soon
    # after the start, so that a process that never lives for a whole interval bills too.
    delay = min(_FIRST_RUN_DELAY, settings.billing_every)
    while settings.billing_every:
        await asyncio.sleep(delay / SECOND)
        delay = settings.billing_every
        try:
            summary = await run_service.run_all(runtime.clock() - settings.billing_grace)
        except Exception:
            runtime.logger.exception("the scheduled invoice run failed; the next one retries it")
        else:
            if summary.turns or summary.waiting:
                runtime.logger.info(
                    "billed on schedule",
                    run=summary.run_id,
                    turns=summary.turns,
                    invoices=summary.invoices,
                    held=summary.held,
                    dropped=summary.dropped,
                    waiting=len(summary.waiting),
                )
