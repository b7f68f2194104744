"""What a subscription's next invoice will be, as things are: the same turn, measured and priced as a run would."""

from rating.core.planned_bill import billed, usage_needs
from rating.ports import BillingLedger, BillingUsageReader, MeterReader
from rating.runs.measuring import measure
from schemas.ids import AccountId
from schemas.invoice import NewInvoice
from schemas.invoice_run import UpcomingInvoice


async def upcoming(
    account: AccountId, subscription_id: str, ledger: BillingLedger, usage: BillingUsageReader, meters: MeterReader
) -> UpcomingInvoice:
    """Nothing of it is kept. Of a period that has not ended, its usage is what has been counted of it so far.

    What came late is in it where the account bills that with the next invoice.
    """
    step = await ledger.next_step(account, subscription_id)
    bill = billed(step, await measure(list(usage_needs(step)), usage, meters))
    empty = NewInvoice(
        customer_id=step.before.customer_id, subscription_id=subscription_id, currency=step.plan.currency
    )
    return UpcomingInvoice(at=step.boundary, invoice=await ledger.preview(account, bill.invoice or empty))
