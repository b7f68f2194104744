"""What a subscription's next invoice will be, as things are: the same turn, measured and priced as a run would."""

from rating.core.planned_bill import billed, wanted
from rating.ports import BillingLedger, Meters, UsageReader
from rating.runs.measuring import measure
from schemas.ids import AccountId
from schemas.invoice import NewInvoice
from schemas.invoice_run import Upcoming


async def upcoming(
    account: AccountId, subscription_id: str, ledger: BillingLedger, usage: UsageReader, meters: Meters
) -> Upcoming:
    """Nothing of it is kept. Of a period that has not ended, its usage is what has been counted of it so far.

    What came late is in it where the account bills that with the next invoice.
    """
    turn = await ledger.next_turn(account, subscription_id)
    bill = billed(turn, await measure(list(wanted(turn)), usage, meters))
    empty = NewInvoice(
        customer_id=turn.before.customer_id, subscription_id=subscription_id, currency=turn.plan.currency
    )
    return Upcoming(at=turn.boundary, invoice=await ledger.preview(account, bill.invoice or empty))
