"""The invoice run: bills every cycle step that is due, each once, however often runs are repeated.

Three things make a step unique. It is applied, under a lock, only if its subscription is exactly as it was when the
step was calculated. One transaction writes the subscription, its invoice and its rated usage. And each boundary can
have only one row. So runs may overlap, be killed anywhere, and be started again: what is not recorded is still due.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from rating.core.cycle_step import CycleStep
from rating.core.late_usage import LateUsageWindow
from rating.core.planned_bill import PlannedBill, RecordedBills, billed, usage_needs
from rating.core.run_summary import RunCounter
from rating.ports import BillingLedger, BillingUsageReader, MeterReader
from rating.runs.measuring import measure
from schemas.errors import Busy, Refused
from schemas.ids import AccountId
from schemas.invoice_run import RunSummary
from schemas.logger import Logger, NullLogger

STEPS_PER_BATCH = 500
"""Steps that are read, measured and recorded together: the most that a killed run has to repeat."""


class RunParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Which subscriptions a run bills, and how."""

    as_of: int
    """The run bills everything due by this moment."""
    run_id: str
    account: AccountId | None = None
    """None bills all accounts."""
    is_dry: bool = False
    """Calculates without recording, so only the first due step of each subscription is seen."""


class InvoiceRun:
    """Bills due subscriptions through the ports of billing."""

    def __init__(
        self,
        ledger: BillingLedger,
        usage: BillingUsageReader,
        meters: MeterReader,
        *,
        late_window: int,
        logger: Logger | None = None,
    ) -> None:
        """`late_window`: for how long after its end, in microseconds, a period may still receive usage."""
        self._ledger = ledger
        self._usage = usage
        self._meters = meters
        self._late_window = late_window
        self._logger = logger or NullLogger()

    async def run(
        self, parameters: RunParameters, on_progress: Callable[[RunSummary, int], None] = lambda _summary, _due: None
    ) -> RunSummary:
        """Bills until nothing is due. Calls `on_progress` after each batch, with the number due at the start."""
        due = await self._ledger.count_due(parameters.account, parameters.as_of)
        counter = RunCounter(parameters.run_id, parameters.as_of, is_dry=parameters.is_dry)
        on_progress(counter.summary(), due)
        while (
            await self._pass(parameters, counter, lambda: on_progress(counter.summary(), due)) and not parameters.is_dry
        ):
            pass  # Subscriptions that are several periods behind are due again.
        return counter.summary()

    async def _pass(self, parameters: RunParameters, counter: RunCounter, on_progress: Callable[[], None]) -> bool:
        """Bills one step of every due subscription. True if any was billed."""
        after: str | None = None
        before = counter.steps
        while steps := await self._ledger.due(parameters.account, parameters.as_of, after, STEPS_PER_BATCH):
            after = steps[-1].before.id
            for some in _by_account(steps):
                await self._bill(parameters, some, counter)
                on_progress()
        return counter.steps > before

    async def _bill(self, parameters: RunParameters, steps: Sequence[CycleStep], counter: RunCounter) -> None:
        """Bills the steps as one batch. Notes a step that cannot be billed, with the reason, and bills the others."""
        try:
            bills = await self._plan(steps)
            recorded = None if parameters.is_dry else await self._record(parameters, bills)
        except (Refused, Busy) as error:
            if len(steps) == 1:
                self._logger.warning(
                    "a subscription waits to be billed", subscription=steps[0].before.id, why=str(error)
                )
                counter.add_waiting(steps[0], str(error))
                return
            middle = len(steps) // 2
            for some in (steps[:middle], steps[middle:]):
                await self._bill(parameters, some, counter)
        else:
            if recorded is None:
                counter.planned(bills)
            else:
                counter.recorded(bills, recorded)

    async def _plan(self, steps: Sequence[CycleStep]) -> list[PlannedBill]:
        measured = await measure([one for step in steps for one in usage_needs(step)], self._usage, self._meters)
        bills = []
        for step in steps:
            await asyncio.sleep(0)  # Lets the process answer requests between two subscriptions.
            bills.append(billed(step, measured))
        return bills

    async def _record(self, parameters: RunParameters, bills: Sequence[PlannedBill]) -> RecordedBills:
        late_usage_window = LateUsageWindow(window=self._late_window, as_of=parameters.as_of)
        return await self._ledger.record(parameters.run_id, bills, late_usage_window)


def _by_account(steps: Sequence[CycleStep]) -> list[list[CycleStep]]:
    found: dict[AccountId, list[CycleStep]] = {}
    for step in steps:
        found.setdefault(step.before.account, []).append(step)
    return list(found.values())
