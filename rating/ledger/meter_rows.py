"""Meters as rows of the ledger: from a row to a record, and back."""

from decimal import Decimal
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from rating.ledger.tables import meters
from schemas.errors import Conflict, NotFound
from schemas.ids import AccountId
from schemas.meter import Aggregation, Meter, MeterFilter


class NewMeterFields(Protocol):
    """A valid new meter, which has no version yet."""

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
    """The immutable part of a meter, stored in one column."""

    event_name: str
    aggregation: Aggregation
    value_property: str | None
    group_by: dict[str, str]
    filters: tuple[MeterFilter, ...]


# Numbers in filters keep every digit: a float would move the bound that a filter sets.
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(StoredMeter, float_hook=Decimal)


def is_meter(account: AccountId, code: str) -> sa.ColumnElement[bool]:
    return (meters.c.account_id == account) & (meters.c.code == code)


def find_meter(connection: sa.Connection, account: AccountId, code: str, *, lock: bool = False) -> Meter | None:
    this = sa.select(meters).where(is_meter(account, code))
    row = connection.execute(this.with_for_update() if lock else this).one_or_none()
    return None if row is None else from_row(row)


def get_meter(connection: sa.Connection, account: AccountId, code: str, *, lock: bool = False) -> Meter:
    """Raises NotFound. With `lock`, other transactions cannot change the meter until this one ends."""
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


def meter_values(meter: Meter) -> dict[str, Any]:
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


def audit_record(meter: Meter) -> msgspec.Raw:
    """The meter as the audit log stores it."""
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


def meter_code_taken(code: str) -> Conflict:
    return Conflict(
        f"code: the meter code {code!r} is taken (archived meters keep theirs, so that old usage stays "
        "what it was); choose another one",
        field="code",
    )


def meter_not_found(code: str) -> NotFound:
    return NotFound(f"there is no meter with the code {code!r}", field="code")
