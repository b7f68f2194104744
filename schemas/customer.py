"""Customers, and the entries of their balances."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.field_types import Country, Currency, Email, Locale, Metadata, Name, NetTerms, ShortText, Url, ZoneName
from schemas.ids import AccountId
from schemas.tax import TaxRate


class Address(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A postal address."""

    country: Country | None = None
    line1: Name | None = None
    line2: Name | None = None
    city: Name | None = None
    state: Name | None = None
    postal_code: ShortText | None = None


def is_percent(value: Decimal) -> bool:
    """From 0 to 100, with up to 6 decimal places."""
    return value.is_finite() and 0 <= value <= 100 and value == round(value, 6)


_Addresses = Address | None
_Rates = Annotated[tuple[TaxRate, ...], Meta(max_length=10)]
_Recipients = Annotated[tuple[Email, ...], Meta(max_length=20)]


class NewCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to create a customer."""

    name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    email: Email | None = None
    phone: ShortText | None = None
    url: Url | None = None
    external_id: Name | None = None
    billing_address: _Addresses = None
    shipping_address: _Addresses = None
    currency: Currency | None = None
    timezone: ZoneName | None = None
    tax_rates: _Rates = ()
    net_terms: NetTerms | None = None
    locale: Locale | None = None
    email_recipients: _Recipients = ()
    metadata: Metadata = {}


class CustomerChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A partial update: absent fields stay as they are."""

    name: Name | UnsetType | None = UNSET
    first_name: Name | UnsetType | None = UNSET
    last_name: Name | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    phone: ShortText | UnsetType | None = UNSET
    url: Url | UnsetType | None = UNSET
    external_id: Name | UnsetType | None = UNSET
    billing_address: _Addresses | UnsetType = UNSET
    shipping_address: _Addresses | UnsetType = UNSET
    currency: Currency | UnsetType | None = UNSET
    timezone: ZoneName | UnsetType | None = UNSET
    tax_rates: _Rates | UnsetType = UNSET
    net_terms: NetTerms | UnsetType | None = UNSET
    locale: Locale | UnsetType | None = UNSET
    email_recipients: _Recipients | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A stored customer."""

    id: str
    account: AccountId
    name: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    phone: str | None
    url: str | None
    external_id: str | None
    billing_address: Address | None
    shipping_address: Address | None
    currency: str | None
    timezone: str | None
    tax_rates: tuple[TaxRate, ...]
    net_terms: int | None
    locale: str | None
    email_recipients: tuple[str, ...]
    metadata: dict[str, str]
    created_at: int
    updated_at: int


class CustomerSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Values to search by; a customer must match every one that is given, exactly."""

    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    external_id: str | None = None
    email: str | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's unused credit in one denomination, including what is owed to the customer."""

    denomination: str
    """A currency code in lower case, or a pricing unit's code."""
    is_currency: bool
    amount: Decimal


class BalanceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What one invoice added to or took from its customer's balance. A balance is the sum of its entries, which never
    change."""

    id: str
    account: AccountId
    customer_id: str
    invoice_id: str
    currency: str
    amount: int
    """Above zero it is owed to the customer from then on, below zero the invoice used it."""
    created_at: int
