"""Listings survive rows whose moments no request could have stored, and show the neighbours of such rows unchanged."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from rating.ledger.engine import create_engine
from rating.ledger.migrate import migrate
from rating.ledger.tables import metadata
from schemas.account import Mode
from schemas.timestamps import to_iso
from tests.attack.test_moments import Attack, attack_on
from tests.ingest_gateway.conftest import InMemoryApp
from tests.ingest_gateway.fakes import make_reject, stored_event
from tests.rating.api.billing_api import BillingApi, open_billing_api

pytestmark = pytest.mark.long

EXTREMES = (-(2**63), -(10**17), -1, 0, 253_402_300_800_000_000, 10**18, 2**63 - 1)
"""Microseconds: the bounds of the column, moments before the year 1 and after 9999, and 1970."""

_MOMENTS = ("at", "period_start", "period_end", "trial_end", "boundary", "open_until")
_SHOWN_NOWHERE = ("idempotency_keys", "accounts", "companies", "meter_sets")


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
async def billing_api(ledger_url: str, anyio_backend: str) -> AsyncIterator[BillingApi]:
    migrate(ledger_url)
    async with open_billing_api(ledger_url) as api:
        yield api


def moments_of(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if column.name.endswith("_at") or column.name in _MOMENTS]


async def everything(attack: Attack) -> dict[str, Any]:
    """The body of every read, by path."""
    shown = {}
    for path in sorted(attack.document["paths"]):
        read = attack.document["paths"][path].get("get")
        filled = attack.resources.filled(path) if read and read["security"] else None
        if filled is None or path.endswith("/search") or path in ("/v1/usage", "/v1/status"):
            continue
        reply = await attack.api.client.get(filled)
        assert reply.status_code < 500, f"{filled}: {reply.text}"
        shown[path] = reply.json()
    return shown


def ids_of(shown: dict[str, Any], path: str) -> list[str]:
    """The ids that a listing shows."""
    (rows,) = [value for value in shown[path].values() if isinstance(value, list)]
    return sorted(row["id"] for row in rows)


@pytest.mark.parametrize(
    "extremes", [EXTREMES[:1] + EXTREMES[-1:], pytest.param(EXTREMES[1:-1], marks=pytest.mark.long)]
)
async def test_listings_survive_every_moment_in_every_row(
    billing_api: BillingApi, ledger_url: str, extremes: tuple[int, ...]
) -> None:
    attack = await attack_on(billing_api)
    await billing_api.post("/v1/keys", {"name": "neighbour", "scopes": ["read"]})
    before = await everything(attack)
    listings = [
        path for path, body in before.items() if body["success"] and "pagination" in body and path != "/v1/events"
    ]
    listings = [path for path in listings if all("id" in row for row in _rows(before[path]))]
    engine = create_engine(ledger_url)
    _let_final_rows_change(engine)
    tried = 0
    for table in metadata.tables.values():
        if table.name in _SHOWN_NOWHERE:
            continue
        for column in moments_of(table):
            if (table.name, column.name) in (("api_keys", "expires_at"), ("api_keys", "revoked_at")):
                mine = table.c.id != billing_api.key.id
            else:
                mine = sa.true()
            with engine.begin() as connection:
                rowid = connection.execute(
                    sa.select(sa.literal_column("rowid")).select_from(table).where(mine)
                ).scalar()
                this = sa.literal_column("rowid") == rowid
                kept = connection.execute(sa.select(column).where(this)).scalar() if rowid else None
            if rowid is None:
                continue
            for extreme in extremes:
                with engine.begin() as connection:
                    connection.execute(sa.update(table).where(this).values({column.name: extreme}))
                shown = await everything(attack)
                for path in listings:
                    assert ids_of(shown, path) == ids_of(before, path), (table.name, column.name, extreme, path)
                tried += 1
            with engine.begin() as connection:
                connection.execute(sa.update(table).where(this).values({column.name: kept}))
    engine.dispose()
    print(f"{tried} rows with a moment from outside the range, {len(listings)} listings")
    assert tried > 40 * len(extremes)


def _let_final_rows_change(engine: sa.Engine) -> None:
    """Drops the triggers that keep final invoices and the audit log as they are."""
    with engine.begin() as connection:
        for name in (
            connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
        ):
            connection.execute(sa.text(f"DROP TRIGGER {name}"))


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    return next(value for value in body.values() if isinstance(value, list))


@pytest.mark.parametrize("extreme", EXTREMES)
async def test_events_and_rejects_survive_any_stored_moment(in_memory_app: InMemoryApp, extreme: int) -> None:
    account = in_memory_app.ours[Mode.LIVE]
    good, bad = stored_event(account, "good"), stored_event(account, "bad")
    reject = make_reject(account, 1)
    reader = in_memory_app.reader
    reader.stored = [good, _with_moments(bad, extreme)]
    reader.stored_rejects = [_with_moments(reject, extreme), reject]
    auth = await in_memory_app.key()
    events = (await in_memory_app.client.get("/v1/events", headers=auth)).json()["events"]
    assert [event["timestamp"] for event in events] == [to_iso(good.timestamp), to_iso(extreme)]
    rejects = (await in_memory_app.client.get("/v1/rejects", headers=auth)).json()["rejects"]
    assert [each["arrived_at"] for each in rejects] == [to_iso(extreme), to_iso(reject.arrival)]


def _with_moments(stored: Any, extreme: int) -> Any:
    return msgspec.structs.replace(stored, timestamp=extreme, arrival=extreme)
