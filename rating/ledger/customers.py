"""Customers in the ledger."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.invoice_tables import invoices
from rating.ledger.rows import RowById, newest_first, set_fields
from rating.ledger.tables import customers, signup_links, subscriptions
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.customer import Customer, CustomerChanges, CustomerSearch, NewCustomer
from schemas.errors import Conflict, NotFound
from schemas.ids import AccountId
from schemas.listing import Page

_SEARCHED = ("name", "first_name", "last_name", "external_id", "email")
MAX_FOUND = 1000

_by_id = RowById(sa.select(customers), customers)
_update = sa.update(customers).where(customers.c.id == sa.bindparam("this"))
_same_external_id = sa.select(customers.c.id).where(
    customers.c.account_id == sa.bindparam("account"),
    customers.c.external_id == sa.bindparam("external_id"),
    customers.c.id != sa.bindparam("but"),
)


class CustomerDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that no query filters by, stored as JSON."""

    phone: str | None
    url: str | None
    billing_address: Any
    shipping_address: Any
    currency: str | None
    timezone: str | None
    tax_rates: Any
    net_terms: int | None
    locale: str | None
    email_recipients: Any
    metadata: dict[str, str]


class SqlCustomers:
    """The customers of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, new: NewCustomer) -> Applied[Customer]:
        """Raises Conflict if the external id is taken."""
        return await self._transactions.change(command, Customer, lambda work: create_customer(work, new))

    async def update(self, command: Command, customer_id: str, changes: CustomerChanges) -> Applied[Customer]:
        """Raises NotFound, or Conflict as `create` does."""
        return await self._transactions.change(
            command, Customer, lambda work: update_customer(work, customer_id, changes)
        )

    async def delete(self, command: Command, customer_id: str) -> Applied[Customer]:
        """Raises NotFound, or Conflict if the customer has invoices or subscriptions."""
        return await self._transactions.change(command, Customer, lambda work: delete_customer(work, customer_id))

    async def get(self, account: AccountId, customer_id: str) -> Customer:
        """Raises NotFound."""
        return await self._database.read_inline(lambda connection: get_customer(connection, account, customer_id))

    async def list(self, account: AccountId, limit: int, cursor: str | None) -> Page:
        """Newest first."""
        rows = sa.select(customers).where(customers.c.account_id == account)
        return await self._database.read(lambda c: newest_first(c, rows, customers.c.id, (limit, cursor), to_customer))

    async def search(self, account: AccountId, search: CustomerSearch) -> Sequence[Customer]:
        """Customers with exactly these values, newest first, at most `MAX_FOUND`."""
        rows = sa.select(customers).where(customers.c.account_id == account)
        for name in _SEARCHED:
            if (value := getattr(search, name)) is not None:
                rows = rows.where(customers.c[name] == value)
        newest = rows.order_by(customers.c.id.desc()).limit(MAX_FOUND)
        return await self._database.read(lambda connection: [to_customer(row) for row in connection.execute(newest)])


def get_customer(connection: sa.Connection, account: AccountId, customer_id: str, *, lock: bool = False) -> Customer:
    """Raises NotFound. With `lock`, other transactions cannot change the customer until this one ends."""
    row = _by_id.find(connection, account, customer_id, lock=lock)
    if row is None:
        raise NotFound(f"there is no customer {customer_id!r} in this account")
    return to_customer(row)


def get_customers(connection: sa.Connection, account: AccountId, customer_ids: Iterable[str]) -> dict[str, Customer]:
    """Customers by id. Raises NotFound if one is missing."""
    ids = set(customer_ids)
    these = sa.select(customers).where(customers.c.id.in_(ids), customers.c.account_id == account)
    found = {row.id: to_customer(row) for row in connection.execute(these)}
    if missing := sorted(ids - found.keys()):
        raise NotFound(f"there is no customer {missing[0]!r} in this account")
    return found


def create_customer(work: UnitOfWork, new: NewCustomer) -> Customer:
    fields = {name: getattr(new, name) for name in new.__struct_fields__}
    customer = Customer(id=work.new_id(), account=work.account, created_at=work.now, updated_at=work.now, **fields)
    _check_external_id(work, customer)
    work.connection.execute(sa.insert(customers), _values(customer))
    work.audit("customer.create", customer.id, after=customer)
    return customer


def update_customer(work: UnitOfWork, customer_id: str, changes: CustomerChanges) -> Customer:
    before = get_customer(work.connection, work.account, customer_id, lock=True)
    after = msgspec.structs.replace(before, updated_at=max(work.now, before.updated_at), **set_fields(changes))
    _check_external_id(work, after)
    work.connection.execute(_update, {**_values(after), "this": customer_id})
    work.audit("customer.update", customer_id, before, after)
    return after


def delete_customer(work: UnitOfWork, customer_id: str) -> Customer:
    customer = get_customer(work.connection, work.account, customer_id, lock=True)
    for what, table in (("invoices", invoices), ("subscriptions", subscriptions)):
        if work.connection.scalar(sa.select(table.c.id).where(table.c.customer_id == customer_id).limit(1)) is not None:
            raise Conflict(
                f"customer {customer_id} has {what}: books are kept, so it cannot be deleted; cancel its subscriptions "
                "and void its invoices to stop billing it",
                code="CUSTOMER_IN_USE",
            )
    work.connection.execute(sa.delete(signup_links).where(signup_links.c.customer_id == customer_id))
    work.connection.execute(sa.delete(customers).where(customers.c.id == customer_id))
    work.audit("customer.delete", customer_id, before=customer)
    return customer


def _check_external_id(work: UnitOfWork, customer: Customer) -> None:
    if customer.external_id is None:
        return
    same = {"account": work.account, "external_id": customer.external_id, "but": customer.id}
    if (other := work.connection.scalar(_same_external_id, same)) is not None:
        raise Conflict(
            f"external_id: {customer.external_id!r} is customer {other}'s already; update that one, or choose another",
            code="EXTERNAL_ID_TAKEN",
            field="external_id",
        )


def _values(customer: Customer) -> dict[str, Any]:
    details = CustomerDetails(**{name: getattr(customer, name) for name in CustomerDetails.__struct_fields__})
    return {
        "id": customer.id,
        "account_id": customer.account,
        **{name: getattr(customer, name) for name in _SEARCHED},
        "details": msgspec.json.encode(details).decode(),
        "created_at": customer.created_at,
        "updated_at": customer.updated_at,
    }


def to_customer(row: Any) -> Customer:
    details = msgspec.json.decode(row.details)
    fields = {name: getattr(row, name) for name in (*_SEARCHED, "id", "created_at", "updated_at")}
    return msgspec.convert({**details, **fields, "account": row.account_id}, Customer)
