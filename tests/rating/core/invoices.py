"""The invoice that tests of the rules begin with: a draft of nothing."""

from schemas.ids import AccountId
from schemas.invoice import CollectionMethod, Invoice

PLAIN = Invoice(
    id="invoice",
    account=AccountId("account"),
    customer_id="customer",
    subscription_id=None,
    currency="USD",
    collection_method=CollectionMethod.SEND_INVOICE,
    days_until_due=None,
    due_at=None,
    description=None,
    customer_memo=None,
    footer=None,
    metadata={},
    discount_asked=None,
    period_start=None,
    period_end=None,
    lines=(),
    created_at=0,
    updated_at=0,
)
