"""Where runs are asked for, and where invoices are looked at ahead and in hindsight."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from rating.core.run_summary import Tally
from rating.ports import BillingLedger, InvoiceRuns, Invoices, Meters, Recount, UsageReader
from rating.runs.auditing import audit
from rating.runs.run import InvoiceRun, Order
from rating.runs.upcoming import upcoming
from schemas.command import Act, Done
from schemas.errors import Conflict, StoreFailed
from schemas.ids import AccountId
from schemas.invoice_audit import InvoiceAudit
from schemas.invoice_run import InvoiceRunRecord, RunOrder, RunState, Summary, Upcoming
from schemas.listing import Page
from schemas.logger import Logger, NoLogger

_REASON_LENGTH = 500
_TELL_SECONDS = 0.5


class Desk:
    """Runs go on here until they are done or it closes; what they did until then is done."""

    def __init__(
        self,
        ledger: BillingLedger,
        runs: InvoiceRuns,
        invoices: Invoices,
        *,
        usage: UsageReader,
        recount: Recount,
        meters: Meters,
        clock: Callable[[], int],
        new_id: Callable[[], str],
        late_window: int,
        logger: Logger | None = None,
    ) -> None:
        self._ledger = ledger
        self._runs = runs
        self._invoices = invoices
        self._usage = usage
        self._recount = recount
        self._meters = meters
        self._clock = clock
        self._new_id = new_id
        self._late_window = late_window
        self._logger = logger or NoLogger()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[AccountId] = set()
        self._beginning = asyncio.Lock()

    async def begin(self, act: Act, order: RunOrder) -> Done[InvoiceRunRecord]:
        """It goes on by itself. Raises Conflict where one of the account's is going on here already."""
        async with self._beginning:
            before = await self._runs.begun(act)
            return await self._begin(act, order) if before is None else Done(answer=before, is_replay=True)

    async def _begin(self, act: Act, order: RunOrder) -> Done[InvoiceRunRecord]:
        if order.account in self._busy:
            raise Conflict(
                "a run of this account is going on; GET /v1/invoice-runs shows how far it is", code="RUN_IN_PROGRESS"
            )
        now, run_id = self._clock(), self._new_id()
        record = InvoiceRunRecord(
            id=run_id,
            account=order.account,
            state=RunState.RUNNING,
            due=await self._ledger.count_due(order.account, order.as_of),
            summary=Tally(run_id, order.as_of, is_dry=order.is_dry).summary(),
            created_at=now,
            updated_at=now,
        )
        done = await self._runs.begin(act, record)
        if not done.is_replay:
            self._busy.add(order.account)
            task = asyncio.create_task(self._go_on(record, order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return done

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        return await self._runs.get(account, run_id)

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first."""
        return await self._runs.list(account, limit, cursor)

    async def upcoming(self, account: AccountId, subscription_id: str) -> Upcoming:
        """Raises NotFound, or Conflict where nothing more will be billed."""
        return await upcoming(account, subscription_id, self._ledger, self._usage, self._meters)

    async def audit(self, account: AccountId, invoice_id: str) -> InvoiceAudit:
        """Raises NotFound."""
        return await audit(await self._invoices.get(account, invoice_id), self._recount, self._meters)

    async def run_all(self, as_of: int) -> Summary:
        """Everybody's, by the clock's schedule and not on request."""
        order = Order(as_of=as_of, run_id=self._new_id())
        return await self._run().run(order)

    async def close(self) -> None:
        """Runs are broken off between two steps, or in the middle of one that is then undone."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self) -> InvoiceRun:
        return InvoiceRun(self._ledger, self._usage, self._meters, late_window=self._late_window, logger=self._logger)

    async def _go_on(self, record: InvoiceRunRecord, order: RunOrder) -> None:
        latest = record.summary

        def tell(summary: Summary, _due: int) -> None:
            nonlocal latest
            latest = summary

        ended = asyncio.Event()
        telling = asyncio.create_task(self._tell(record, lambda: latest, ended))
        run = self._run()
        wanted = Order(as_of=order.as_of, run_id=record.id, account=order.account, is_dry=order.is_dry)
        state, error = RunState.FAILED, None
        try:
            latest = await run.run(wanted, tell)
            state = RunState.DONE
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"[:_REASON_LENGTH]
            self._logger.exception("an invoice run failed; what it did is done", run=record.id)
        finally:
            ended.set()
            await asyncio.wait([telling])  # What it is writing must not come after the last word.
            self._busy.discard(order.account)  # Before that: who reads that it is done may ask for the next one.
            await self._runs.put(replace(record, state=state, summary=latest, error=error))

    async def _tell(self, record: InvoiceRunRecord, latest: Callable[[], Summary], ended: asyncio.Event) -> None:
        """Now and then, for whoever waits. A ledger that is too busy to be told is told the next time."""
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _TELL_SECONDS)
            with suppress(StoreFailed, Conflict):
                await self._runs.put(replace(record, summary=latest()))
