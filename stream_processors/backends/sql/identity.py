"""Checks that a usage store belongs to this log, and that its shards are named in the right order.

Each shard stores its own number. With the addresses in another order, a partition's claims would be looked up on the
wrong shard, and its whole log counted again.
"""

from collections.abc import Iterator, Sequence
from string import Template
from typing import NamedTuple

import msgspec
import pyarrow as pa

from schemas.errors import Conflict, IdentityChanged
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.topology import SINGLE_SERVER, StoreTopology

_IDENTITY = Template("""\
CREATE TABLE IF NOT EXISTS $database.identity$on_cluster (partitions UInt32, hash_name String, log_id String)
ENGINE = ${replicated}MergeTree$replica ORDER BY tuple()
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1, $token_window""")

_SHARD = pa.schema([("shard", pa.uint32()), ("shards", pa.uint32())])


def shard_address(number: int) -> str:
    """The name of a shard in error messages, counted from one."""
    return f"address {number} of TALLYHOUSE_CLICKHOUSE_URL"


class StoreIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a store that must never change: every key's partition and every seen key depend on them."""

    partitions: int
    hash_name: str
    log_id: str


class ShardNumber(NamedTuple):
    """The number of a shard, and the number of shards."""

    shard: int
    shards: int


_REMEDY = {
    "partitions": "Set TALLYHOUSE_PARTITIONS back; the number of partitions is fixed for the life of the data.",
    "hash_name": "Use the version of Tallyhouse that wrote this data.",
    "log_id": "Point the log and the usage store at directories that belong together; "
    "if the log was lost, restore it from a backup.",
}


def check_identity(
    shards: Sequence[SqlClient], database: str, identity: StoreIdentity, topology: StoreTopology = SINGLE_SERVER
) -> None:
    """Stores the identity and the shards' numbers at the first start; later raises IdentityChanged if they differ."""
    anywhere = shards[0]
    anywhere.command(topology.render_for_all(_IDENTITY, database))
    table = f"{database}.identity"
    stored = _stored(anywhere, table)
    _check_same_identity(database, stored, identity)
    _number_shards(shards, database, is_new=not stored)
    if not stored:
        # Stored last: a store with an identity but without numbers is one from before shards were numbered.
        anywhere.insert_arrow(table, pa.Table.from_pylist([msgspec.to_builtins(identity)]), "identity")
        _check_same_identity(database, _stored(anywhere, table), identity)


def stored_identity(client: SqlClient, database: str) -> StoreIdentity | None:
    """The identity that the store was made with; None if it has none yet."""
    ((exists,),) = client.query_rows(f"EXISTS TABLE {database}.identity")
    stored = _stored(client, f"{database}.identity") if exists else []
    return stored[0] if stored else None


def require_identity(shards: Sequence[SqlClient], database: str, identity: StoreIdentity) -> None:
    """Checks the identity without storing it, for a process that shares the migrated store. Raises Conflict."""
    table = f"{database}.identity"
    ((exists,),) = shards[0].query_rows(f"EXISTS TABLE {table}")
    stored = _stored(shards[0], table) if exists else []
    found = [_shard(client, database) for client in shards]
    _check_shard_numbers(database, found, all_numbered=bool(stored) and any(found))
    if not stored or None in found:
        raise Conflict(f"the usage store {database!r} does not say whose it is: run `tallyhouse migrate` first")
    _check_same_identity(database, stored, identity)


def read_identity(anywhere: SqlClient, database: str) -> StoreIdentity | None:
    """The stored identity; None if the store has none yet."""
    table = f"{database}.identity"
    ((exists,),) = anywhere.query_rows(f"EXISTS TABLE {table}")
    stored = _stored(anywhere, table) if exists else []
    return stored[0] if stored else None


def _number_shards(shards: Sequence[SqlClient], database: str, *, is_new: bool) -> None:
    found = [_shard(client, database) for client in shards]
    if not is_new and not any(found):
        found[0] = ShardNumber(0, 1)
    _check_shard_numbers(database, found, all_numbered=not is_new)
    for number, client in enumerate(shards):
        if _shard(client, database) is None:
            row = pa.Table.from_pylist([ShardNumber(number, len(shards))._asdict()], _SHARD)
            client.insert_arrow(f"{database}.shard", row, "shard")
    _check_shard_numbers(database, [_shard(client, database) for client in shards], all_numbered=True)


def _shard(client: SqlClient, database: str) -> ShardNumber | None:
    ((exists,),) = client.query_rows(f"EXISTS TABLE {database}.shard")
    rows = client.query_rows(f"SELECT shard, shards FROM {database}.shard") if exists else []
    return ShardNumber(*rows[0]) if rows else None


def _check_shard_numbers(database: str, found: Sequence[ShardNumber | None], *, all_numbered: bool) -> None:
    errors = list(_shard_problems(found, all_numbered=all_numbered))
    if errors:
        raise IdentityChanged(f"the usage store {database!r} is not the one it was: " + " ".join(errors))


def _shard_problems(found: Sequence[ShardNumber | None], *, all_numbered: bool) -> Iterator[str]:
    counts = {shard.shards for shard in found if shard is not None}
    if counts - {len(found)}:
        yield (
            f"TALLYHOUSE_CLICKHOUSE_URL names {len(found)} shards, but this data was made with {max(counts)}. Name "
            "those, in the order they were in; the number of shards is fixed for the life of the data."
        )
        return
    for number, shard in enumerate(found, start=1):
        if shard is None and all_numbered:
            yield f"{shard_address(number)} has lost its data: restore it from a backup."
        elif shard is not None and shard.shard + 1 != number:
            yield (
                f"{shard_address(number)} is the shard that was address {shard.shard + 1}: put them back in "
                "the order they were in, each shard once."
            )


def _check_same_identity(database: str, stored: Sequence[StoreIdentity], identity: StoreIdentity) -> None:
    differences = [
        f"{field} is {now!r}, but this data was made with {then!r}. {_REMEDY[field]}"
        for then_identity in stored
        for field, now in msgspec.to_builtins(identity).items()
        if now != (then := getattr(then_identity, field))
    ]
    if differences:
        raise IdentityChanged(f"the usage store {database!r} belongs to another log: " + " ".join(differences))


def _stored(client: SqlClient, table: str) -> list[StoreIdentity]:
    rows = client.query_rows(f"SELECT partitions, hash_name, log_id FROM {table}")
    return [StoreIdentity(partitions=partitions, hash_name=name, log_id=log) for partitions, name, log in rows]
