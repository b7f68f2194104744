"""The invoice run: whatever is due is billed, each turn of each subscription once, however often this runs.

Three things make it once. A turn is taken only if its subscription is exactly as it was when the turn was reckoned,
under a lock. What the subscription becomes, what it is billed and what of its usage that was are one transaction. And
of each boundary there can be one row. So runs may overlap, be killed anywhere, and be started again: what is done is
done, what is not is due.
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
"""Read, measured and kept together: as much as a killed run has to do again."""


class RunParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to bill."""

    as_of: int
    """Everything that is due by then."""
    run_id: str
    account: AccountId | None = None
    """Only this one's; None is everybody."""
    is_dry: bool = False
    """Reckon, and keep nothing: only the first turn of each subscription is seen then."""


class InvoiceRun:
    """Bills over the ports it is given."""

    def __init__(
        self,
        ledger: BillingLedger,
        usage: BillingUsageReader,
        meters: MeterReader,
        *,
        late_window: int,
        logger: Logger | None = None,
    ) -> None:
        """`late_window`: for how long after it ended a period may still get usage."""
        self._ledger = ledger
        self._usage = usage
        self._meters = meters
        self._late_window = late_window
        self._logger = logger or NullLogger()

    async def run(
        self, parameters: RunParameters, on_progress: Callable[[RunSummary, int], None] = lambda _summary, _due: None
    ) -> RunSummary:
        """Bills until nothing is due. `on_progress` is called after each step, with the number due at the start."""
        due = await self._ledger.count_due(parameters.account, parameters.as_of)
        counter = RunCounter(parameters.run_id, parameters.as_of, is_dry=parameters.is_dry)
        on_progress(counter.summary(), due)
        while (
            await self._pass(parameters, counter, lambda: on_progress(counter.summary(), due)) and not parameters.is_dry
        ):
            pass  # Those that are far behind are due again.
        return counter.summary()

    async def _pass(self, parameters: RunParameters, counter: RunCounter, on_progress: Callable[[], None]) -> bool:
        """Once over all that is due; whether anything was billed."""
        after: str | None = None
        before = counter.turns
        while turns := await self._ledger.due(parameters.account, parameters.as_of, after, STEPS_PER_BATCH):
            after = turns[-1].before.id
            for some in _by_account(turns):
                await self._bill(parameters, some, counter)
                on_progress()
        return counter.turns > before

    async def _bill(self, parameters: RunParameters, turns: Sequence[CycleStep], counter: RunCounter) -> None:
        """All of them at once. Where one cannot be billed, all others are, and it is told who waits and why."""
        try:
            bills = await self._plan(turns)
            recorded = None if parameters.is_dry else await self._record(parameters, bills)
        except (Refused, Busy) as error:
            if len(turns) == 1:
                self._logger.warning(
                    "a subscription waits to be billed", subscription=turns[0].before.id, why=str(error)
                )
                counter.add_waiting(turns[0], str(error))
                return
            middle = len(turns) // 2
            for some in (turns[:middle], turns[middle:]):
                await self._bill(parameters, some, counter)
        else:
            if recorded is None:
                counter.planned(bills)
            else:
                counter.recorded(bills, recorded)

    async def _plan(self, turns: Sequence[CycleStep]) -> list[PlannedBill]:
        measured = await measure([one for step in turns for one in usage_needs(step)], self._usage, self._meters)
        bills = []
        for step in turns:
            await asyncio.sleep(0)  # Others of this process's requests are answered between two subscriptions.
            bills.append(billed(step, measured))
        return bills

    async def _record(self, parameters: RunParameters, bills: Sequence[PlannedBill]) -> RecordedBills:
        late_usage_window = LateUsageWindow(window=self._late_window, as_of=parameters.as_of)
        return await self._ledger.record(parameters.run_id, bills, late_usage_window)


def _by_account(turns: Sequence[CycleStep]) -> list[list[CycleStep]]:
    found: dict[AccountId, list[CycleStep]] = {}
    for step in turns:
        found.setdefault(step.before.account, []).append(step)
    return list(found.values())
