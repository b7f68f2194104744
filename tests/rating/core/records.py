"""The invoice, the usage price and the subscriptions that tests of the rules start from."""

import msgspec

from rating.core.pricing import Charge
from rating.core.subscription_cycle import with_due_date
from schemas.ids import AccountId
from schemas.invoice import CollectionMethod, Invoice
from schemas.subscription import Status, Subscription

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


def pending_from(start: int, **fields: object) -> Subscription:
    """A pending subscription to plan `pro`, billed on the first of each month."""
    made = Subscription(
        id="s",
        account=AccountId("a"),
        customer_id="c",
        plan_id="p",
        plan_code="pro",
        plan_version=1,
        status=Status.PENDING,
        billing_anchor_day=1,
        timezone="UTC",
        start_at=start,
        trial_end=None,
        period_start=start,
        period_end=start,
        cancel_at=None,
        canceled_at=None,
        ended_at=None,
        previous_id=None,
        due_at=None,
        created_at=start,
        updated_at=start,
    )
    return msgspec.structs.replace(made, **fields)


def canceled(subscription: Subscription, at: int, **fields: object) -> Subscription:
    """The subscription canceled at once, at `at`."""
    ended = {"status": Status.CANCELED, "canceled_at": at, "ended_at": at}
    return with_due_date(msgspec.structs.replace(subscription, **(ended | fields)))


def amount_of(charged: Charge) -> int:
    """A charge in minor units, with what the minimum adds."""
    return sum(group.amount for group in charged.groups) + charged.true_up
