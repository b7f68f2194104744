"""`/v1/customers`: who is billed."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import UNSET

from ingest_gateway.http.answers import listed
from ingest_gateway.http.envelope import Reply
from ingest_gateway.http.idempotency import act_of, answer
from ingest_gateway.http.paging import Paging
from ingest_gateway.http.request import About, Call, Endpoint
from ingest_gateway.http.validation import read_record
from rating.api.customer_documents import (
    CustomerPage,
    Deleted,
    OneCustomer,
    SomeCustomers,
    customer_document,
)
from rating.api.ports import Customers
from rating.api.queries import CustomerParameters
from schemas.account import Scope
from schemas.customer import CustomerChanges, CustomerSearch, NewCustomer, is_percent
from schemas.errors import Invalid
from schemas.money import exponent

ALL, ONE = "/v1/customers", "/v1/customers/{id}"


class CustomerRoutes:
    """Administrators make and change customers, readers see them."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    def endpoints(self) -> list[Endpoint]:
        admin, read = Scope.ADMIN, Scope.READ
        creates = About("Create a customer", takes=NewCustomer, gives=OneCustomer, status=201)
        lists = About("List customers", asks=Paging, gives=CustomerPage)
        searches = About("Search customers by exact values", asks=CustomerParameters, gives=SomeCustomers)
        updates = About("Change what is given of a customer", takes=CustomerChanges, gives=OneCustomer)
        deletes = About("Delete a customer that was never billed", gives=Deleted)
        return [
            Endpoint("POST", ALL, admin, self.create, creates),
            Endpoint("GET", ALL, read, self.index, lists),
            # Before the pattern that it would fit too.
            Endpoint("GET", f"{ALL}/search", read, self.search, searches),
            Endpoint("GET", ONE, read, self.get, About("Retrieve a customer", gives=OneCustomer)),
            Endpoint("PATCH", ONE, admin, self.update, updates),
            Endpoint("DELETE", ONE, admin, self.delete, deletes),
        ]

    async def create(self, call: Call) -> Reply:
        document = await call.document()
        new = read_record(document, NewCustomer)
        _check(new)
        done = await self._customers.create(act_of(call, document), new)
        customer = customer_document(done.answer)
        return answer(call, done, status=201, location=f"{ALL}/{customer['id']}", customer=customer)

    async def index(self, call: Call) -> Reply:
        asked = call.asked(Paging)
        found = await self._customers.list(call.account, asked.limit, asked.cursor)
        shown, pagination = listed(found, customer_document)
        return call.success(customers=shown, pagination=pagination)

    async def search(self, call: Call) -> Reply:
        asked = call.asked(CustomerParameters)
        values = {name: getattr(asked, name) for name in asked.__struct_fields__}
        if not any(values.values()):
            raise Invalid(f"give at least one of {', '.join(values)}; /v1/customers lists them all")
        found = await self._customers.search(call.account, CustomerSearch(**values))
        return call.success(customers=[customer_document(customer) for customer in found])

    async def get(self, call: Call) -> Reply:
        return call.success(customer=customer_document(await self._customers.get(call.account, call.path["id"])))

    async def update(self, call: Call) -> Reply:
        document = await call.document()
        changes = read_record(document, CustomerChanges)
        _check(changes)
        done = await self._customers.update(act_of(call, document), call.path["id"], changes)
        return answer(call, done, customer=customer_document(done.answer))

    async def delete(self, call: Call) -> Reply:
        done = await self._customers.delete(act_of(call), call.path["id"])
        return answer(call, done, id=call.path["id"], deleted=True)


def _check(asked: NewCustomer | CustomerChanges) -> None:
    """What no type can say. Raises Invalid."""
    if isinstance(asked.currency, str):
        exponent(asked.currency)
    if isinstance(asked.timezone, str):
        check_zone(asked.timezone, "timezone")
    for place, rate in enumerate(() if asked.tax_rates is UNSET else asked.tax_rates):
        if not is_percent(rate.percent):
            field = f"tax_rates[{place}].percent"
            raise Invalid(f"{field}: expected 0 to 100 with up to 6 decimal places; got {rate.percent}", field=field)


def check_zone(name: str, field: str) -> None:
    """Raises Invalid where there is no such time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            f"{field}: there is no time zone {name!r}; use an IANA name such as Europe/Berlin", field=field
        ) from None
