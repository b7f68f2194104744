"""Every change is in the audit log, with actor, state before and state after; the log cannot be rewritten."""

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from tests.rating.api.billing_api import BillingApi
from tests.rating.ledger.fixtures import on_every_ledger

pytestmark = pytest.mark.anyio


@on_every_ledger
async def test_every_change_is_logged_with_both_states(billing_api: BillingApi) -> None:
    """Newest first; a refused or repeated request leaves no entry."""
    made = (await billing_api.post("/v1/customers", {"name": "Acme", "external_id": "a"}, idempotency_key="k1"))[
        "customer"
    ]
    await billing_api.post("/v1/customers", {"name": "Acme", "external_id": "a"}, idempotency_key="k1")
    await billing_api.post("/v1/customers", {"external_id": "a"}, status=409)
    billing_api.clock.now += 1_000
    await billing_api.patch(f"/v1/customers/{made['id']}", {"name": "Other"})
    billing_api.clock.now += 1_000
    deletion = await billing_api.delete(f"/v1/customers/{made['id']}")
    entries = (await billing_api.get("/v1/audit", subject=made["id"]))["entries"]
    assert [entry["action"] for entry in entries] == ["customer.delete", "customer.update", "customer.create"]
    assert {entry["actor"] for entry in entries} == {billing_api.key.id}
    assert entries[0]["request_id"] == deletion["request_id"]
    assert (entries[0]["after"], entries[2]["before"]) == (None, None)
    assert (entries[1]["before"]["name"], entries[1]["after"]["name"]) == ("Acme", "Other")


async def test_an_account_sees_only_its_own_log(billing_api: BillingApi, other_account: BillingApi) -> None:
    """Even by the id of the other account's record."""
    made = await billing_api.customer()
    assert (await other_account.get("/v1/audit", subject=made["id"]))["entries"] == []


@on_every_ledger
@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'me'", "DELETE FROM audit_log"])
async def test_the_log_cannot_be_rewritten(billing_api: BillingApi, migrated_url: str, statement: str) -> None:
    """Not even in SQL."""
    await billing_api.customer()
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="audit log cannot be changed"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
