"""`/v1/customers`: customers and their documents."""

from typing import Any

import msgspec
from msgspec import UNSET

from ingest_gateway.http.description import Description
from ingest_gateway.http.envelope import Deleted, Listed, Response, Success, listed
from ingest_gateway.http.idempotency import applied_response, command_of
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import Request
from ingest_gateway.http.route import Route
from ingest_gateway.http.validation import read_record
from rating.api.ports import Customers
from schemas.account import Scope
from schemas.customer import Address, Customer, CustomerChanges, CustomerSearch, NewCustomer, is_percent
from schemas.errors import Invalid
from schemas.field_types import Email, Name
from schemas.money import exponent
from schemas.tax import TaxRate
from schemas.timestamps import to_iso
from schemas.timezones import check_time_zone


class CustomerParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What to search for: exact values, at least one."""

    name: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    external_id: Name | None = None
    email: Email | None = None


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


class CustomerRoutes:
    """Administrators make and change customers, readers see them."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    def routes(self) -> list[Route]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = Description("Create a customer", body_type=NewCustomer, response_type=OneCustomer, status=201)
        lists = Description("List customers", query_type=Paging, response_type=CustomerPage)
        searches = Description(
            "Search customers by exact values", query_type=CustomerParameters, response_type=SomeCustomers
        )
        updates = Description(
            "Change what is given of a customer", body_type=CustomerChanges, response_type=OneCustomer
        )
        deletes = Description("Delete a customer that was never billed", response_type=Deleted)
        return [
            Route("POST", ALL, admin, self.create, creates),
            Route("GET", ALL, read, self.index, lists),
            # Before the pattern that it would fit too.
            Route("GET", f"{ALL}/search", read, self.search, searches),
            Route("GET", ONE, read, self.get, Description("Retrieve a customer", response_type=OneCustomer)),
            Route("PATCH", ONE, admin, self.update, updates),
            Route("DELETE", ONE, admin, self.delete, deletes),
        ]

    async def create(self, request: Request) -> Response:
        document = await request.document()
        new = read_record(document, NewCustomer)
        _check(new)
        done = await self._customers.create(command_of(request, document), new)
        customer = customer_document(done.answer)
        return applied_response(request, done, status=201, location=f"{ALL}/{customer['id']}", customer=customer)

    async def index(self, request: Request) -> Response:
        asked = request.read_query(Paging)
        found = await self._customers.list(request.account, asked.limit, asked.cursor)
        shown, pagination = listed(found, customer_document)
        return request.success(customers=shown, pagination=pagination)

    async def search(self, request: Request) -> Response:
        asked = request.read_query(CustomerParameters)
        values = {name: getattr(asked, name) for name in asked.__struct_fields__}
        if not any(values.values()):
            raise Invalid(f"give at least one of {', '.join(values)}; /v1/customers lists them all")
        found = await self._customers.search(request.account, CustomerSearch(**values))
        return request.success(customers=[customer_document(customer) for customer in found])

    async def get(self, request: Request) -> Response:
        return request.success(
            customer=customer_document(await self._customers.get(request.account, request.path_params["id"]))
        )

    async def update(self, request: Request) -> Response:
        document = await request.document()
        changes = read_record(document, CustomerChanges)
        _check(changes)
        done = await self._customers.update(command_of(request, document), request.path_params["id"], changes)
        return applied_response(request, done, customer=customer_document(done.answer))

    async def delete(self, request: Request) -> Response:
        done = await self._customers.delete(command_of(request), request.path_params["id"])
        return applied_response(request, done, id=request.path_params["id"], deleted=True)


def _check(asked: NewCustomer | CustomerChanges) -> None:
    """What no type can say. Raises Invalid."""
    if isinstance(asked.currency, str):
        exponent(asked.currency)
    if isinstance(asked.timezone, str):
        check_time_zone(asked.timezone, "timezone")
    for place, rate in enumerate(() if asked.tax_rates is UNSET else asked.tax_rates):
        if not is_percent(rate.percent):
            field = f"tax_rates[{place}].percent"
            raise Invalid(f"{field}: expected 0 to 100 with up to 6 decimal places; got {rate.percent}", field=field)
