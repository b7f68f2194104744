"""Every change is in the audit log, with who made it and what it changed; nobody can rewrite it."""

import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from tests.rating.api.conftest import Office

pytestmark = pytest.mark.anyio


async def test_every_change_is_kept_with_both_sides(office: Office) -> None:
    """Newest first; a refused or repeated request leaves nothing."""
    made = (await office.post("/v1/customers", {"name": "Acme", "external_id": "a"}, once="k1"))["customer"]
    await office.post("/v1/customers", {"name": "Acme", "external_id": "a"}, once="k1")
    await office.post("/v1/customers", {"external_id": "a"}, status=409)
    office.clock.now += 1_000
    await office.patch(f"/v1/customers/{made['id']}", {"name": "Other"})
    office.clock.now += 1_000
    gone = await office.delete(f"/v1/customers/{made['id']}")
    entries = (await office.get("/v1/audit", subject=made["id"]))["entries"]
    assert [entry["action"] for entry in entries] == ["customer.delete", "customer.update", "customer.create"]
    assert {entry["actor"] for entry in entries} == {office.key.id}
    assert entries[0]["request_id"] == gone["request_id"]
    assert (entries[0]["after"], entries[2]["before"]) == (None, None)
    assert (entries[1]["before"]["name"], entries[1]["after"]["name"]) == ("Acme", "Other")


async def test_a_stranger_s_log_is_its_own(office: Office, stranger: Office) -> None:
    """Even by the id of what was changed."""
    made = await office.customer()
    assert (await stranger.get("/v1/audit", subject=made["id"]))["entries"] == []


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET actor = 'me'", "DELETE FROM audit_log"])
async def test_the_log_cannot_be_rewritten(office: Office, migrated_url: str, statement: str) -> None:
    """Not even by whoever has the database."""
    await office.customer()
    engine = create_engine(migrated_url)
    with pytest.raises(sa.exc.DBAPIError, match="audit log cannot be changed"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
