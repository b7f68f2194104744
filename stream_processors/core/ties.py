"""Which of two events of one moment is the latest one: a reject tried again is compared by its reject's place."""

import numpy as np
import pyarrow as pa

from schemas.event import EventFlag
from schemas.tables import reject_place

_PLACE = ("p", "offset", "place")


def with_tie_places(events: pa.Table) -> pa.Table:
    """The events with the places by which the latest one is chosen among them.

    A recount knows a try by its reject and its arrival alone. Ties must be broken by what it knows.
    """
    replays = np.flatnonzero(events["flags"].to_numpy() & EventFlag.REPLAY)
    columns = {name: events[name].to_numpy().copy() for name in _PLACE}
    for row in replays.tolist():
        place = reject_place(events["replay_of"][row].as_py())
        if place is not None:
            columns["p"][row], _, columns["offset"][row], columns["place"][row] = place
    for name, column in columns.items():
        at = events.schema.get_field_index(name)
        events = events.set_column(at, events.schema.field(at), pa.array(column, events.schema.field(at).type))
    return events
