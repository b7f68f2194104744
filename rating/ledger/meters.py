"""Meters in the ledger: created, renamed, and archived where no plan in force prices them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from rating.ledger.database import Database
from rating.ledger.plan_rows import to_version
from rating.ledger.tables import meter_sets, meters, plan_versions, plans, subscriptions
from rating.ledger.unit_of_work import Transactions, UnitOfWork
from schemas.command import Applied, Command
from schemas.errors import Alarm, Conflict, NotFound
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter, MeterFilter, MeterSet
from schemas.subscription import Status


def check_not_priced(connection: sa.Connection, account: AccountId, meter: str) -> None:
    """Raises Conflict where a version in force prices the meter."""
    for row in connection.execute(_in_force(account)):
        version = to_version(row, row)
        if any(usage.meter == meter for usage in version.usage_prices):
            raise Conflict(
                f"the meter {meter!r} is priced by version {version.version} of plan {version.code!r}; first publish a "
                "version without it (or archive the plan), and move or end the subscriptions to this one",
                code="METER_PRICED",
            )


def _in_force(account: AccountId) -> sa.Select[tuple[object, ...]]:
    """What is subscribed to now, and what somebody still pays."""
    older = plan_versions.alias()
    published = older.c.published_at.is_not(None)
    newest = sa.select(sa.func.max(older.c.version)).where(older.c.plan_id == plans.c.id, published).scalar_subquery()
    paid = sa.exists().where(
        subscriptions.c.plan_id == plan_versions.c.plan_id,
        subscriptions.c.plan_version == plan_versions.c.version,
        (subscriptions.c.status != Status.CANCELED) | subscriptions.c.due_at.is_not(None),
    )
    offered = plans.c.archived_at.is_(None) & (plan_versions.c.version == newest)
    return (
        sa.select(plan_versions, plans.c.code, plans.c.name)
        .join(plans, plans.c.id == plan_versions.c.plan_id)
        .where(plans.c.account_id == account, plan_versions.c.published_at.is_not(None), offered | paid)
        .order_by(plans.c.id, plan_versions.c.version.desc())
    )


class NewMeterFields(Protocol):
    """A checked meter that has no version yet, as the edge hands it over."""

    @property
    def code(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def event_name(self) -> str: ...
    @property
    def aggregation(self) -> str: ...
    @property
    def value_property(self) -> str | None: ...
    @property
    def group_by(self) -> dict[str, str]: ...
    @property
    def filters(self) -> tuple[Any, ...]: ...
    @property
    def unit(self) -> str | None: ...


class StoredMeter(msgspec.Struct, frozen=True, kw_only=True):
    """What of a meter never changes, as kept in one column."""

    event_name: str
    aggregation: Aggregation
    value_property: str | None
    group_by: dict[str, str]
    filters: tuple[MeterFilter, ...]


# Numbers in filters keep every digit: a float on the way would move the border they draw.
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(StoredMeter, float_hook=Decimal)


class SqlMeters:
    """The meters of each account, and of all of them by version."""

    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def create(self, command: Command, meter: NewMeterFields) -> Applied[Meter]:
        """Raises Conflict where the code is taken (by an archived meter too: codes are never used twice)."""
        return await self._transactions.change(command, Meter, lambda work: create_meter(work, meter))

    async def list(self, account: AccountId) -> Sequence[Meter]:
        """Oldest first, archived ones too."""
        of_account = sa.select(meters).where(meters.c.account_id == account).order_by(meters.c.version)
        rows = await self._database.read(lambda connection: connection.execute(of_account).all())
        return [from_row(row) for row in rows]

    async def get(self, account: AccountId, code: str) -> Meter:
        """Raises NotFound."""
        return await self._database.read(lambda connection: _one(connection, account, code))

    async def rename(self, command: Command, code: str, changes: Mapping[str, str | None]) -> Applied[Meter]:
        """Change `name`, `unit`, or both."""
        return await self._transactions.change(command, Meter, lambda work: rename_meter(work, code, changes))

    async def archive(self, command: Command, code: str) -> Applied[Meter]:
        """It stops counting from the next meter set on; what it counted stays. Twice changes nothing.

        Raises Conflict where a plan in force prices it.
        """
        return await self._transactions.change(command, Meter, lambda work: archive_meter(work, code))

    async def newest_version(self) -> int:
        return await self._database.read(_newest_version)

    async def at_version(self, version: int) -> MeterSet:
        """Immutable: the same version always gives the same meters (their names and units as they are now)."""

        def select(connection: sa.Connection) -> tuple[int, Sequence[Any]]:
            alive = meters.c.archived_version.is_(None) | (meters.c.archived_version > version)
            counting = sa.select(meters).where(meters.c.version <= version, alive).order_by(meters.c.version)
            return _newest_version(connection), connection.execute(counting).all()

        newest, rows = await self._database.read(select)
        return meter_set(version, newest, [from_row(row) for row in rows])


def create_meter(work: UnitOfWork, meter: NewMeterFields) -> Meter:
    # The version first: its lock makes the look for the code and the insert one step to rivals.
    made = to_meter(work.account, meter, version=_next_version(work.connection), created_at=work.now)
    if find_meter(work.connection, work.account, meter.code) is not None:
        raise meter_code_taken(meter.code)
    work.connection.execute(sa.insert(meters).values(_values(made)))
    work.audit("meter.create", made.code, after=_exactly(made))
    return made


def rename_meter(work: UnitOfWork, code: str, changes: Mapping[str, str | None]) -> Meter:
    before = _one(work.connection, work.account, code, lock=True)
    after = msgspec.structs.replace(before, **changes)
    if after != before:
        work.connection.execute(sa.update(meters).where(_this(work.account, code)).values(dict(changes)))
        work.audit("meter.update", code, _exactly(before), _exactly(after))
    return after


def archive_meter(work: UnitOfWork, code: str) -> Meter:
    # The lock first: two that archive at once must not both find the meter alive.
    work.connection.execute(sa.select(meter_sets.c.version).with_for_update())
    before = _one(work.connection, work.account, code, lock=True)
    if before.archived_version is not None:
        return before
    check_not_priced(work.connection, work.account, code)
    after = msgspec.structs.replace(before, archived_version=_next_version(work.connection))
    archived = sa.update(meters).where(_this(work.account, code)).values(archived_version=after.archived_version)
    work.connection.execute(archived)
    work.audit("meter.archive", code, _exactly(before), _exactly(after))
    return after


def _newest_version(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(meter_sets.c.version)).scalar_one())


def _next_version(connection: sa.Connection) -> int:
    """Locks the counter until the transaction ends, so that a version is seen only with all its meters."""
    step = sa.update(meter_sets).values(version=meter_sets.c.version + 1).returning(meter_sets.c.version)
    return int(connection.execute(step).scalar_one())


def _this(account: AccountId, code: str) -> sa.ColumnElement[bool]:
    return (meters.c.account_id == account) & (meters.c.code == code)


def find_meter(connection: sa.Connection, account: AccountId, code: str, *, lock: bool = False) -> Meter | None:
    this = sa.select(meters).where(_this(account, code))
    row = connection.execute(this.with_for_update() if lock else this).one_or_none()
    return None if row is None else from_row(row)


def _one(connection: sa.Connection, account: AccountId, code: str, *, lock: bool = False) -> Meter:
    meter = find_meter(connection, account, code, lock=lock)
    if meter is None:
        raise meter_not_found(code)
    return meter


def to_meter(account: AccountId, meter: NewMeterFields, *, version: int, created_at: int) -> Meter:
    return Meter(
        account=account,
        code=meter.code,
        name=meter.name,
        event_name=meter.event_name,
        aggregation=Aggregation(meter.aggregation),
        value_property=meter.value_property,
        group_by=meter.group_by,
        filters=meter.filters,
        unit=meter.unit,
        version=version,
        created_at=created_at,
    )


def _values(meter: Meter) -> dict[str, Any]:
    definition = StoredMeter(
        event_name=meter.event_name,
        aggregation=meter.aggregation,
        value_property=meter.value_property,
        group_by=meter.group_by,
        filters=meter.filters,
    )
    return {
        "account_id": meter.account,
        "code": meter.code,
        "name": meter.name,
        "unit": meter.unit,
        "definition": _encoder.encode(definition).decode(),
        "version": meter.version,
        "created_at": meter.created_at,
    }


def _exactly(meter: Meter) -> msgspec.Raw:
    """As the audit log keeps it."""
    return msgspec.Raw(_encoder.encode(meter))


def from_row(row: Any) -> Meter:
    definition = _decoder.decode(row.definition)
    return Meter(
        account=AccountId(row.account_id),
        code=row.code,
        name=row.name,
        event_name=definition.event_name,
        aggregation=definition.aggregation,
        value_property=definition.value_property,
        group_by=definition.group_by,
        filters=definition.filters,
        unit=row.unit,
        version=row.version,
        archived_version=row.archived_version,
        created_at=row.created_at,
    )


def meter_set(version: int, newest: int, counting: Sequence[Meter]) -> MeterSet:
    """`counting` as they were at `version`: what was archived later was not archived then."""
    if version > newest:
        raise Alarm(
            f"meter set {version} is asked for, but the newest in the ledger is {newest}: "
            "was the ledger restored from a backup older than the usage store?"
        )
    return MeterSet(version=version, meters=tuple(msgspec.structs.replace(m, archived_version=None) for m in counting))


def meter_code_taken(code: str) -> Conflict:
    return Conflict(
        f"code: the meter code {code!r} is taken (archived meters keep theirs, so that old usage stays "
        "what it was); choose another one",
        field="code",
    )


def meter_not_found(code: str) -> NotFound:
    return NotFound(f"there is no meter with the code {code!r}", field="code")
