"""A subscription's next invoice at this moment: its next cycle step, measured and priced as a run would."""

from rating.core.planned_bill import billed, usage_needs
from rating.ports import BillingLedger, BillingUsageReader, MeterReader
from rating.runs.measuring import measure
from schemas.ids import AccountId
from schemas.invoice import NewInvoice
from schemas.invoice_run import UpcomingInvoice


async def upcoming(
    account: AccountId, subscription_id: str, ledger: BillingLedger, usage: BillingUsageReader, meters: MeterReader
) -> UpcomingInvoice:
    """The preview, which is not stored. A period that has not ended has the usage counted so far.

    Late usage is included if the account bills it with the next invoice. Raises NotFound or Conflict.
    """
    step = await ledger.next_step(account, subscription_id)
    bill = billed(step, await measure(list(usage_needs(step)), usage, meters))
    empty = NewInvoice(
        customer_id=step.before.customer_id, subscription_id=subscription_id, currency=step.plan.currency
    )
    return UpcomingInvoice(at=step.boundary, invoice=await ledger.preview(account, bill.invoice or empty))
