"""`/v1/customers`: customers and their documents."""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from ingest_gateway.http.envelope import Deleted, Listed, Success
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.resource import RequestBody, Resource, list_of, page_of
from ingest_gateway.http.route import Route
from rating.api.ports import Customers
from rating.api.validation import check_tax_rates
from schemas.customer import Address, Customer, CustomerChanges, CustomerSearch, NewCustomer
from schemas.errors import Invalid
from schemas.field_types import Email, Name
from schemas.money import exponent
from schemas.tax import TaxRate
from schemas.timestamps import to_iso
from schemas.timezones import check_time_zone


class CustomerParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Search criteria: exact values, at least one."""

    name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    external_id: Name | None = None
    email: Email | None = None


class CustomerDocument(msgspec.Struct, kw_only=True):
    """A customer. Every field is present; an unknown value is null."""

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


class OneCustomer(Success, kw_only=True):
    """One customer."""

    customer: CustomerDocument


class SomeCustomers(Success, kw_only=True):
    """All customers found."""

    customers: list[CustomerDocument]


class CustomerPage(Listed, kw_only=True):
    """One page of customers."""

    customers: list[CustomerDocument]


def customer_document(customer: Customer) -> dict[str, Any]:
    fields = msgspec.to_builtins(customer)
    del fields["account"]
    return {**fields, "created_at": to_iso(customer.created_at), "updated_at": to_iso(customer.updated_at)}


ALL, ONE = "/v1/customers", "/v1/customers/{id}"

Given = TypeVar("Given", NewCustomer, CustomerChanges)


def customer_routes(customers: Customers) -> list[Route]:
    """Administrators create and change customers, readers see them."""
    customer = Resource.named("customer", OneCustomer, customer_document)
    return [
        customer.create(
            ALL,
            "Create a customer",
            RequestBody(NewCustomer, _checked),
            lambda command, _, new: customers.create(command, new),
            location=lambda created: f"{ALL}/{created.id}",
        ),
        page_of("customers", CustomerPage, customer_document).query(
            ALL,
            "List customers",
            Paging,
            lambda account, _, paging: customers.list(account, paging.limit, paging.cursor),
        ),
        # Routed before `/v1/customers/{id}`, which matches this path too.
        list_of("customers", SomeCustomers, customer_document).query(
            f"{ALL}/search",
            "Search customers by exact values",
            CustomerParameters,
            lambda account, _, parameters: customers.search(account, _search(parameters)),
        ),
        customer.get(ONE, "Retrieve a customer", lambda account, path: customers.get(account, path["id"])),
        customer.change(
            "PATCH",
            ONE,
            "Change given fields of a customer",
            RequestBody(CustomerChanges, _checked),
            lambda command, path, changes: customers.update(command, path["id"], changes),
        ),
        Resource(Deleted, _deleted).act(
            "DELETE",
            ONE,
            "Delete a customer that was never billed",
            lambda command, path: customers.delete(command, path["id"]),
        ),
    ]


def _deleted(customer: Customer) -> dict[str, Any]:
    return {"id": customer.id, "deleted": True}


def _search(parameters: CustomerParameters) -> CustomerSearch:
    """Raises Invalid for a search without a criterion."""
    values = {name: getattr(parameters, name) for name in parameters.__struct_fields__}
    if not any(values.values()):
        raise Invalid(f"give at least one of {', '.join(values)}; /v1/customers lists them all")
    return CustomerSearch(**values)


def _checked(given: Given) -> Given:
    """Checks currency, time zone and tax rates. Raises Invalid."""
    if isinstance(given.currency, str):
        exponent(given.currency)
    if isinstance(given.timezone, str):
        check_time_zone(given.timezone, "timezone")
    if given.tax_rates is not UNSET:
        check_tax_rates(given.tax_rates)
    return given
