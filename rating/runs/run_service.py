"""The invoice run service: starts and follows runs, previews the next invoice, and audits invoices."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from rating.core.run_summary import RunCounter
from rating.ports import BillingLedger, BillingUsageReader, InvoiceReader, InvoiceRunStore, MeterReader, Recount
from rating.runs.auditing import audit
from rating.runs.run import InvoiceRun, RunParameters
from rating.runs.upcoming import upcoming
from schemas.command import Applied, Command
from schemas.errors import Conflict, StoreFailed
from schemas.ids import AccountId
from schemas.invoice_audit import InvoiceAudit
from schemas.invoice_run import InvoiceRunRecord, RunRequest, RunState, RunSummary, UpcomingInvoice
from schemas.listing import Page
from schemas.logger import Logger, NullLogger

_REASON_LENGTH = 500
_PROGRESS_SECONDS = 0.5


class InvoiceRunService:
    """Runs continue in this process until they are done or the service closes; what they recorded by then stays."""

    def __init__(
        self,
        ledger: BillingLedger,
        runs: InvoiceRunStore,
        invoices: InvoiceReader,
        *,
        usage: BillingUsageReader,
        recount: Recount,
        meters: MeterReader,
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
        self._logger = logger or NullLogger()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running_accounts: set[AccountId] = set()
        self._begin_lock = asyncio.Lock()

    async def begin(self, command: Command, request: RunRequest) -> Applied[InvoiceRunRecord]:
        """Starts a run in the background. Raises Conflict if a run of the account is in progress here."""
        async with self._begin_lock:
            before = await self._runs.find_replay(command)
            return await self._begin(command, request) if before is None else Applied(answer=before, is_replay=True)

    async def _begin(self, command: Command, request: RunRequest) -> Applied[InvoiceRunRecord]:
        if request.account in self._running_accounts:
            raise Conflict(
                "a run of this account is in progress; GET /v1/invoice-runs shows how far it is", code="RUN_IN_PROGRESS"
            )
        now, run_id = self._clock(), self._new_id()
        record = InvoiceRunRecord(
            id=run_id,
            account=request.account,
            state=RunState.RUNNING,
            due=await self._ledger.count_due(request.account, request.as_of),
            summary=RunCounter(run_id, request.as_of, is_dry=request.is_dry).summary(),
            created_at=now,
            updated_at=now,
        )
        done = await self._runs.begin(command, record)
        if not done.is_replay:
            self._running_accounts.add(request.account)
            task = asyncio.create_task(self._execute(record, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return done

    async def get(self, account: AccountId, run_id: str) -> InvoiceRunRecord:
        """Raises NotFound."""
        return await self._runs.get(account, run_id)

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first."""
        return await self._runs.list(account, limit, cursor)

    async def upcoming(self, account: AccountId, subscription_id: str) -> UpcomingInvoice:
        """Raises NotFound, or Conflict if nothing more will be billed."""
        return await upcoming(account, subscription_id, self._ledger, self._usage, self._meters)

    async def audit(self, account: AccountId, invoice_id: str) -> InvoiceAudit:
        """Raises NotFound."""
        return await audit(await self._invoices.get(account, invoice_id), self._recount, self._meters)

    async def run_all(self, as_of: int) -> RunSummary:
        """Bills all accounts, as the schedule does."""
        return await self._run().run(RunParameters(as_of=as_of, run_id=self._new_id()))

    async def close(self) -> None:
        """Cancels all runs; a batch that is being recorded is rolled back."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self) -> InvoiceRun:
        return InvoiceRun(self._ledger, self._usage, self._meters, late_window=self._late_window, logger=self._logger)

    async def _execute(self, record: InvoiceRunRecord, request: RunRequest) -> None:
        latest = record.summary

        def on_progress(summary: RunSummary, _due: int) -> None:
            nonlocal latest
            latest = summary

        ended = asyncio.Event()
        reporting = asyncio.create_task(self._report_progress(record, lambda: latest, ended))
        run = self._run()
        parameters = RunParameters(
            as_of=request.as_of, run_id=record.id, account=request.account, is_dry=request.is_dry
        )
        state, error = RunState.FAILED, None
        try:
            latest = await run.run(parameters, on_progress)
            state = RunState.DONE
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"[:_REASON_LENGTH]
            self._logger.exception("an invoice run failed; what it recorded stays", run=record.id)
        finally:
            ended.set()
            # A progress report must not overwrite the final state, and a client that reads the final state may at once
            # begin the account's next run.
            await asyncio.wait([reporting])
            self._running_accounts.discard(request.account)
            await self._runs.put(replace(record, state=state, summary=latest, error=error))

    async def _report_progress(
        self, record: InvoiceRunRecord, latest: Callable[[], RunSummary], ended: asyncio.Event
    ) -> None:
        """Stores the progress twice a second; a report that a busy ledger refuses is skipped."""
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), _PROGRESS_SECONDS)
            with suppress(StoreFailed, Conflict):
                await self._runs.put(replace(record, summary=latest()))
