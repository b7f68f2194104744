"""Meter sets: each new or archived meter makes the next version, numbered without gaps."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import sqlalchemy as sa

from rating.ledger.meter_rows import from_row
from rating.ledger.tables import meter_sets, meters
from schemas.errors import Alarm
from schemas.ids import AccountId
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


def read_fan_outs(connection: sa.Connection, above: int) -> dict[AccountId, dict[str, int]]:
    """The event names that more than `above` meters of an account count, and how many do."""
    counting = meters.c.archived_version.is_(None)
    # Only these accounts can have such a name; the name itself is inside the definition.
    accounts = (
        sa.select(meters.c.account_id).where(counting).group_by(meters.c.account_id).having(sa.func.count() > above)
    )
    rows = connection.execute(sa.select(meters).where(counting, meters.c.account_id.in_(accounts)))
    return fan_outs([from_row(row) for row in rows], above)


def fan_outs(counting: Iterable[Meter], above: int) -> dict[AccountId, dict[str, int]]:
    """The event names that more than `above` of the meters of an account count, and how many do."""
    found: dict[AccountId, dict[str, int]] = {}
    for (account, event_name), count in Counter((meter.account, meter.event_name) for meter in counting).items():
        if count > above:
            found.setdefault(account, {})[event_name] = count
    return found


def meter_set(version: int, newest: int, counting: Sequence[Meter]) -> MeterSet:
    """The meters in `counting` as they were at `version`: one that was archived later is not archived. Raises Alarm."""
    if version > newest:
        raise Alarm(
            f"meter set {version} is required, but the newest in the ledger is {newest}: "
            "was the ledger restored from a backup older than the usage store?"
        )
    return MeterSet(version=version, meters=tuple(msgspec.structs.replace(m, archived_version=None) for m in counting))
