"""No route shows or changes another account's resources; generated from the API's document."""

import json
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.tables import metadata
from schemas.account import ApiKey, Mode, Scope
from schemas.ids import AccountId
from tests.contracts.commands import command_of, key_for
from tests.ingest_gateway.openapi.account_resources import (
    SECRET_TEXT,
    AccountResources,
    create_resources,
    example_body,
    fail_of_unknown,
)
from tests.ingest_gateway.openapi.conftest import Document
from tests.ingest_gateway.openapi.test_document import operations_of
from tests.rating.api.billing_api import BillingApi

pytestmark = pytest.mark.anyio

USED = "last_used_at"
COUNTER = "meter_sets"
"""Counts the meter sets of all accounts, so everyone's meters move it."""


@pytest.fixture(params=["another company", "our test key"])
async def other_account(request: pytest.FixtureRequest, billing_api: BillingApi) -> BillingApi:
    accounts = billing_api.ledger.accounts
    if request.param == "our test key":
        account = await accounts.account_for(billing_api.key.account, Mode.TEST)
    else:
        company = await accounts._database.write(
            lambda connection: accounts._add_company(connection, billing_api.clock())
        )
        account = company[Mode.LIVE]
    key, token = await billing_api.ledger.api_keys.create(command_of(account), key_for(account, "stranger", *Scope))
    return BillingApi(billing_api.ledger, billing_api.clock, key, token)


async def test_no_route_crosses_accounts(
    billing_api: BillingApi, other_account: BillingApi, document: Document
) -> None:
    """With the victim's ids in path, query and body, a stranger sees nothing and changes nothing of the victim's."""
    resources = await create_resources(billing_api, document)
    fail_of_unknown(resources, document)
    before = await _rows_of(billing_api.ledger.accounts._database, billing_api.key)
    tried = 0
    guarded = [each for each in operations_of(document) if each[2]["security"]]
    # The victim's resources first: later the stranger makes its own, of which some may have the same code.
    for method, path, operation in sorted(guarded, key=lambda each: "{" not in each[1]):
        reply_text, status, named = await _send(other_account, resources, method, path, operation)
        assert status < 500, (method, path, reply_text)
        if "{" in path:
            assert status == 404, (method, path, reply_text)
        assert [secret for secret in resources.secrets() - named if secret in reply_text] == [], (method, path)
        tried += 1
    assert tried > 15
    after = await _rows_of(billing_api.ledger.accounts._database, billing_api.key)
    assert after.own == before.own
    lost = {name: rows - after.shared[name] for name, rows in before.shared.items()}
    assert {name: rows for name, rows in lost.items() if rows} == {}


async def test_the_owner_sees_its_own_resources(billing_api: BillingApi, document: Document) -> None:
    """Otherwise the test above would prove nothing."""
    resources = await create_resources(billing_api, document)
    for method, path, operation in operations_of(document):
        if method == "GET" and "{" in path and operation["security"]:
            text, status, _ = await _send(billing_api, resources, method, path, operation)
            assert status == 200, (path, text)
    assert SECRET_TEXT in (await billing_api.client.get("/v1/customers")).text


async def _send(
    billing_api: BillingApi, resources: AccountResources, method: str, path: str, operation: dict[str, Any]
) -> tuple[str, int, set[str]]:
    """The response, its status, and the secrets in the request itself, which a response may repeat."""
    filled = resources.filled(path)
    assert filled is not None
    query = {
        each["name"]: resources.body({each["name"]: each["example"]})[each["name"]]
        for each in operation.get("parameters", [])
        if each["in"] == "query" and "example" in each
    }
    body = json.dumps(resources.body(example_body(operation)))
    content = None if method == "GET" or body == "null" else body
    reply = await billing_api.client.request(method, filled, params=query, content=content)
    request = f"{filled} {query} {body}"
    return reply.text, reply.status_code, {secret for secret in resources.secrets() if secret in request}


class Rows(NamedTuple):
    """The ledger's rows by table."""

    own: dict[str, set[Any]]
    """Of tables that name the account: its rows."""
    shared: dict[str, set[Any]]
    """Of the others: all rows, of which some belong to its resources."""


async def _rows_of(database: Database, key: ApiKey) -> Rows:
    return await database.read(lambda connection: _read(connection, key.account))


def _read(connection: sa.Connection, account: AccountId) -> Rows:
    rows = Rows({}, {})
    for table in metadata.sorted_tables:
        every = sa.select(*(column for column in table.c if column.name != USED))
        if "account_id" in table.c:
            rows.own[table.name] = set(connection.execute(every.where(table.c.account_id == account)))
        elif table.name != COUNTER:
            rows.shared[table.name] = set(connection.execute(every))
    return rows
