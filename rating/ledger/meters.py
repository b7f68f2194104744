"""Meters in the ledger: created, renamed, and archived unless a plan in force prices them."""

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.meter_rows import (
    NewMeterFields,
    audit_record,
    find_meter,
    from_row,
    get_meter,
    is_meter,
    meter_code_taken,
    meter_values,
    to_meter,
)
from rating.ledger.meter_sets import read_fan_outs, read_meter_set, read_newest_version, take_next_version
from rating.ledger.plan_rows import to_version
from rating.ledger.tables import meter_sets, meters, plan_versions, plans, subscriptions
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.errors import Conflict
from schemas.ids import AccountId
from schemas.meter import Meter, MeterSet
from schemas.subscription import Status


class SqlMeters:
    """The meters of each account, and the meter sets of all accounts."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, meter: NewMeterFields) -> Applied[Meter]:
        """Raises Conflict if the code is taken, also by an archived meter: codes are never used twice."""
        return await self._transactions.change(command, Meter, lambda work: create_meter(work, meter))

    async def list(self, account: AccountId) -> Sequence[Meter]:
        """Oldest first, including archived meters."""
        of_account = sa.select(meters).where(meters.c.account_id == account).order_by(meters.c.version)
        rows = await self._database.read(lambda connection: connection.execute(of_account).all())
        return [from_row(row) for row in rows]

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        return await self._database.read(lambda connection: get_meter(connection, account, code))

    async def rename(self, command: Command, code: str, changes: Mapping[str, str | None]) -> Applied[Meter]:
        """Changes `name`, `unit`, or both. Raises NotFound."""
        return await self._transactions.change(command, Meter, lambda work: rename_meter(work, code, changes))

    async def archive(self, command: Command, code: str) -> Applied[Meter]:
        """Ends counting with the next meter set; usage counted before stays. Archiving again changes nothing.

        Raises NotFound, or Conflict if a plan in force prices the meter.
        """
        return await self._transactions.change(command, Meter, lambda work: archive_meter(work, code))

    async def newest_version(self) -> int:
        return await self._database.read(read_newest_version)

    async def fan_outs(self, above: int) -> dict[AccountId, dict[str, int]]:
        """The event names that more than `above` meters of an account count, and how many do."""
        return await self._database.read(lambda connection: read_fan_outs(connection, above))

    async def at_version(self, version: int) -> MeterSet:
        """The same version always has the same meters, with their present names and units."""
        return await self._database.read(lambda connection: read_meter_set(connection, version))


def create_meter(work: UnitOfWork, meter: NewMeterFields) -> Meter:
    # The version first: its lock makes the look-up of the code and the insert one step to other transactions.
    made = to_meter(work.account, meter, version=take_next_version(work.connection), created_at=work.now)
    if find_meter(work.connection, work.account, meter.code) is not None:
        raise meter_code_taken(meter.code)
    work.connection.execute(sa.insert(meters).values(meter_values(made)))
    work.audit("meter.create", made.code, after=audit_record(made))
    return made


def rename_meter(work: UnitOfWork, code: str, changes: Mapping[str, str | None]) -> Meter:
    before = get_meter(work.connection, work.account, code, lock=True)
    after = msgspec.structs.replace(before, **changes)
    if after != before:
        work.connection.execute(sa.update(meters).where(is_meter(work.account, code)).values(dict(changes)))
        work.audit("meter.update", code, audit_record(before), audit_record(after))
    return after


def archive_meter(work: UnitOfWork, code: str) -> Meter:
    # The lock first: of two concurrent requests, only one may find the meter not archived.
    work.connection.execute(sa.select(meter_sets.c.version).with_for_update())
    before = get_meter(work.connection, work.account, code, lock=True)
    if before.archived_version is not None:
        return before
    check_not_priced(work.connection, work.account, code)
    after = msgspec.structs.replace(before, archived_version=take_next_version(work.connection))
    archived = sa.update(meters).where(is_meter(work.account, code)).values(archived_version=after.archived_version)
    work.connection.execute(archived)
    work.audit("meter.archive", code, audit_record(before), audit_record(after))
    return after


def check_not_priced(connection: sa.Connection, account: AccountId, meter: str) -> None:
    """Raises Conflict if a version in force prices the meter."""
    for row in connection.execute(_in_force(account)):
        version = to_version(row, row)
        if any(usage.meter == meter for usage in version.usage_prices):
            raise Conflict(
                f"the meter {meter!r} is priced by version {version.version} of plan {version.code!r}; first publish a "
                "version without it (or archive the plan), and move or end the subscriptions to this one",
                code="METER_PRICED",
            )


def _in_force(account: AccountId) -> sa.Select[tuple[object, ...]]:
    """The versions on offer, and those that a subscription still pays by."""
    older = plan_versions.alias()
    published = older.c.published_at.is_not(None)
    newest = sa.select(sa.func.max(older.c.version)).where(older.c.plan_id == plans.c.id, published).scalar_subquery()
    in_use = sa.exists().where(
        subscriptions.c.plan_id == plan_versions.c.plan_id,
        subscriptions.c.plan_version == plan_versions.c.version,
        (subscriptions.c.status != Status.CANCELED) | subscriptions.c.due_at.is_not(None),
    )
    offered = plans.c.archived_at.is_(None) & (plan_versions.c.version == newest)
    return (
        sa.select(plan_versions, plans.c.code, plans.c.name)
        .join(plans, plans.c.id == plan_versions.c.plan_id)
        .where(plans.c.account_id == account, plan_versions.c.published_at.is_not(None), offered | in_use)
        .order_by(plans.c.id, plan_versions.c.version.desc())
    )
