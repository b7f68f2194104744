"""Credit grants: credit that a customer uses up before it pays, in a currency or in a pricing unit."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.field_types import END, Code, Name
from schemas.ids import AccountId
from schemas.moments import Moment
from schemas.money import CURRENCIES
from schemas.price_rules import FieldError

CREDIT_DECIMAL_PLACES = 12
CREDIT_AMOUNT_LIMIT = Decimal(10) ** 15

CurrencyCode = Annotated[str, Meta(pattern="^[A-Za-z]{3}" + END, description="ISO 4217, such as usd.")]


class NewCreditGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to grant credit, in a currency or in a pricing unit."""

    name: Name
    amount: Annotated[Decimal, Meta(description="Above zero; a number, or a string of one.")]
    """In major units if the credit is money."""
    pricing_unit_code: Code | None = None
    currency_code: CurrencyCode | None = None
    expires_at: Moment | None = None
    """None for a grant that never expires."""

    @property
    def denomination(self) -> str:
        return (self.currency_code or "").lower() or self.pricing_unit_code or ""


class CreditGrant(msgspec.Struct, frozen=True, kw_only=True):
    """A stored grant."""

    id: str
    account: AccountId
    customer_id: str
    subscription_id: str
    name: str
    denomination: str
    """A currency code in lower case, or a pricing unit's code."""
    is_currency: bool
    amount: Decimal
    expires_at: int | None
    created_at: int


def check_credit(new: NewCreditGrant) -> Iterator[FieldError]:
    """Every error of a grant that its types do not exclude."""
    if (new.currency_code is None) == (new.pricing_unit_code is None):
        yield "currency_code", "give this or pricing_unit_code, and only one of them"
    if new.currency_code is not None and new.currency_code.upper() not in CURRENCIES:
        yield "currency_code", f"{new.currency_code!r} is no ISO 4217 currency code; give one such as usd"
    if not new.amount.is_finite() or not 0 < new.amount < CREDIT_AMOUNT_LIMIT:
        yield "amount", f"must be a number above zero and below {CREDIT_AMOUNT_LIMIT:f}"
    elif new.amount != round(new.amount, CREDIT_DECIMAL_PLACES):
        yield "amount", f"may have at most {CREDIT_DECIMAL_PLACES} decimal places"
