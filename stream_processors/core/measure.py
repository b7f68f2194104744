"""Events and meters into usage rows, and rejects for the values that could not be counted."""

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from schemas.meter import Meter


class Measured(msgspec.Struct, frozen=True):
    """What some events add to the usage (layout USAGE, no receipt) and what of them could not be counted (REJECTS)."""

    usage: pa.Table
    rejects: pa.Table


def measure(events: pa.Table, meters: Sequence[Meter], *, month: int, origin: str = "") -> Measured:
    """Count the events with the meters.

    `events` has the layout EVENTS, whether planned in a flush or read back from the store (more columns do no harm).
    Every row of the result carries `month`, and the rejects carry `origin`.
    Both are sorted, so that the same events and meters always make the same rows.
    """
    raise NotImplementedError
