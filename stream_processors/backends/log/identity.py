"""Which log this is: offsets of one log mean nothing in another, even of the same name."""

import msgspec


class LogIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The log's id and its number of partitions; both are fixed for the life of the log."""

    log_id: str
    partitions: int
