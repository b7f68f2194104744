"""The invoice run: whatever is due is billed, each turn of each subscription once, however often this runs.

Three things make it once. A turn is taken only if its subscription is exactly as it was when the turn was reckoned,
under a lock. What the subscription becomes, what it is billed and what of its usage that was are one transaction. And
of each boundary there can be one row. So runs may overlap, be killed anywhere, and be started again: what is done is
done, what is not is due.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from rating.core.cycle_step import Turn
from rating.core.keeping import Bill, Kept
from rating.core.planned_bill import billed, wanted
from rating.core.rated_period import Acceptance
from rating.core.run_summary import Tally
from rating.ports import BillingLedger, Meters, UsageReader
from rating.runs.measuring import measure
from schemas.errors import Busy, Refused
from schemas.ids import AccountId
from schemas.invoice_run import Summary
from schemas.logger import Logger, NoLogger

TURNS_AT_ONCE = 500
"""Read, measured and kept together: as much as a killed run has to do again."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
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
        usage: UsageReader,
        meters: Meters,
        *,
        late_window: int,
        logger: Logger | None = None,
    ) -> None:
        """`late_window`: for how long after it ended a period may still get usage."""
        self._ledger = ledger
        self._usage = usage
        self._meters = meters
        self._late_window = late_window
        self._logger = logger or NoLogger()

    async def run(self, order: Order, tell: Callable[[Summary, int], None] = lambda _summary, _due: None) -> Summary:
        """Until nothing is due. `tell` hears after each step how far it is, and how many were due at the start."""
        due = await self._ledger.count_due(order.account, order.as_of)
        tally = Tally(order.run_id, order.as_of, is_dry=order.is_dry)
        tell(tally.summary(), due)
        while await self._pass(order, tally, lambda: tell(tally.summary(), due)) and not order.is_dry:
            pass  # Those that are far behind are due again.
        return tally.summary()

    async def _pass(self, order: Order, tally: Tally, tell: Callable[[], None]) -> bool:
        """Once over all that is due; whether anything was billed."""
        after: str | None = None
        before = tally.turns
        while turns := await self._ledger.due(order.account, order.as_of, after, TURNS_AT_ONCE):
            after = turns[-1].before.id
            for some in _by_account(turns):
                await self._bill(order, some, tally)
                tell()
        return tally.turns > before

    async def _bill(self, order: Order, turns: Sequence[Turn], tally: Tally) -> None:
        """All of them at once. Where one cannot be billed, all others are, and it is told who waits and why."""
        try:
            bills = await self._reckoned(turns)
            kept = None if order.is_dry else await self._kept(order, bills)
        except (Refused, Busy) as error:
            if len(turns) == 1:
                self._logger.warning(
                    "a subscription waits to be billed", subscription=turns[0].before.id, why=str(error)
                )
                tally.waits(turns[0], str(error))
                return
            middle = len(turns) // 2
            for some in (turns[:middle], turns[middle:]):
                await self._bill(order, some, tally)
        else:
            if kept is None:
                tally.reckoned(bills)
            else:
                tally.kept(bills, kept)

    async def _reckoned(self, turns: Sequence[Turn]) -> list[Bill]:
        measured = await measure([one for turn in turns for one in wanted(turn)], self._usage, self._meters)
        bills = []
        for turn in turns:
            await asyncio.sleep(0)  # Others of this process's requests are answered between two subscriptions.
            bills.append(billed(turn, measured))
        return bills

    async def _kept(self, order: Order, bills: Sequence[Bill]) -> Kept:
        acceptance = Acceptance(window=self._late_window, as_of=order.as_of)
        return await self._ledger.keep(order.run_id, bills, acceptance)


def _by_account(turns: Sequence[Turn]) -> list[list[Turn]]:
    found: dict[AccountId, list[Turn]] = {}
    for turn in turns:
        found.setdefault(turn.before.account, []).append(turn)
    return list(found.values())
