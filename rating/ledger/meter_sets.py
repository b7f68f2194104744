"""Meter sets: each new or archived meter makes the next version, numbered without gaps."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from rating.ledger.meter_rows import from_row
from rating.ledger.tables import meter_sets, meters
from schemas.errors import Alarm
from schemas.meter import Meter, MeterSet


def read_newest_version(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(meter_sets.c.version)).scalar_one())


def take_next_version(connection: sa.Connection) -> int:
    """Locks the counter until the transaction ends, so that readers see a version only with all its meters."""
    step = sa.update(meter_sets).values(version=meter_sets.c.version + 1).returning(meter_sets.c.version)
    return int(connection.execute(step).scalar_one())


def read_meter_set(connection: sa.Connection, version: int) -> MeterSet:
    """The meters that count in this version. Raises Alarm if the ledger has not reached it yet."""
    newest = read_newest_version(connection)
    alive = meters.c.archived_version.is_(None) | (meters.c.archived_version > version)
    counting = sa.select(meters).where(meters.c.version <= version, alive).order_by(meters.c.version)
    found = [from_row(row) for row in connection.execute(counting)]
    return meter_set(version, newest, found)


def meter_set(version: int, newest: int, counting: Sequence[Meter]) -> MeterSet:
    """The meters in `counting` as they were at `version`: one that was archived later is not archived. Raises Alarm."""
    if version > newest:
        raise Alarm(
            f"meter set {version} is required, but the newest in the ledger is {newest}: "
            "was the ledger restored from a backup older than the usage store?"
        )
    return MeterSet(version=version, meters=tuple(msgspec.structs.replace(m, archived_version=None) for m in counting))
