"""Billing within a process that serves: the desk for those who ask, and a run by the clock for those who do not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rating.ledger.ledger import Ledger
from rating.runs.run_service import Desk
from schemas.ids import new_cuid
from schemas.timestamps import MINUTE, SECOND
from stream_processors.backends.reading.replays import Replayed
from stream_processors.backends.sql.client import SqlThreads
from stream_processors.backends.sql.recount import SqlRecount
from stream_processors.backends.sql.usage_reader import SqlUsageReader
from stream_processors.ports import SeenKeys
from tallyhouse.runtime.context import Surroundings
from tallyhouse.runtime.settings import ServiceSettings

_FIRST = MINUTE
"""After the start: what the log still holds from before is counted by then, or is billed as late usage."""


@asynccontextmanager
async def open_desk(
    settings: ServiceSettings, around: Surroundings, *, ledger: Ledger, threads: SqlThreads, seen: SeenKeys
) -> AsyncIterator[Desk]:
    """Open, with its schedule; on leaving, runs are broken off: what they did is done."""
    desk = Desk(
        ledger.billing,
        ledger.invoice_runs,
        ledger.invoices,
        usage=SqlUsageReader(threads, settings.partitions),
        recount=SqlRecount(threads, Replayed(seen, settings.partitions)),
        meters=ledger.meters,
        clock=around.clock,
        new_id=lambda: new_cuid(around.clock() * 1000 // SECOND),
        # What a period's last event can need: to be accepted, and to be counted.
        late_window=settings.event_max_age + settings.billing_grace,
        logger=around.logger,
    )
    schedule = asyncio.create_task(_bill_by_the_clock(desk, settings, around))
    try:
        yield desk
    finally:
        schedule.cancel()
        await asyncio.wait([schedule])
        await desk.close()


async def _bill_by_the_clock(desk: Desk, settings: ServiceSettings, around: Surroundings) -> None:
    """Several processes may do this at once: each period is billed once all the same.

    The first time comes soon: a process that never lives as long as an interval bills too.
    """
    rest = min(_FIRST, settings.billing_every)
    while settings.billing_every:
        await asyncio.sleep(rest / SECOND)
        rest = settings.billing_every
        try:
            summary = await desk.run_all(around.clock() - settings.billing_grace)
        except Exception:
            around.logger.exception("billing on schedule failed, it is tried again at the next time")
        else:
            if summary.turns or summary.waiting:
                around.logger.info(
                    "billed on schedule",
                    run=summary.run_id,
                    turns=summary.turns,
                    invoices=summary.invoices,
                    held=summary.held,
                    dropped=summary.dropped,
                    waiting=len(summary.waiting),
                )
