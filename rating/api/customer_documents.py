"""Customers as the API shows them."""

from decimal import Decimal
from typing import Any

import msgspec

from ingest_gateway.http.answers import Listed, Success
from schemas.customer import Address, Customer
from schemas.tax import TaxRate
from schemas.timestamps import to_iso


class CustomerDocument(msgspec.Struct, kw_only=True):
    """A customer. Every field is always there; what is not known is null."""

    id: str
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
    created_at: str
    updated_at: str


class BalanceDocument(msgspec.Struct, kw_only=True):
    """What is left of a customer's credit in one denomination."""

    currency_code: str | None
    pricing_unit_code: str | None
    balance: Decimal


class OneCustomer(Success, kw_only=True):
    """One customer."""

    customer: CustomerDocument


class Deleted(Success, kw_only=True):
    """Gone for good."""

    id: str
    deleted: bool


class SomeCustomers(Success, kw_only=True):
    """All customers found."""

    customers: list[CustomerDocument]


class CustomerPage(Listed, kw_only=True):
    """One page of customers."""

    customers: list[CustomerDocument]


class Balances(Success, kw_only=True):
    """A customer's credit."""

    balances: list[BalanceDocument]


def customer_document(customer: Customer) -> dict[str, Any]:
    fields = msgspec.to_builtins(customer)
    del fields["account"]
    return {**fields, "created_at": to_iso(customer.created_at), "updated_at": to_iso(customer.updated_at)}
