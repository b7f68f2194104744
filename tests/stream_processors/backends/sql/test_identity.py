"""The identity of a store, and the numbers of its shards."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from schemas.errors import Conflict, IdentityChanged
from stream_processors.backends.sql.chdb import Chdb
from stream_processors.backends.sql.clickhouse_http import ClickHousePool
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import StoreIdentity, check_identity, require_identity
from stream_processors.backends.sql.migrate import migrate
from tests.backing_services.store_process import StoreProcess

IDENTITY = StoreIdentity(partitions=8, hash_name="xxh3-1", log_id="log-1")

names = (f"identified_{number}" for number in itertools.count())


def test_the_same_identity_is_accepted_at_every_start(chdb: Chdb) -> None:
    """The first start stores the identity."""
    client, name = chdb.database("default"), next(names)
    migrate(client, name)
    for _ in range(3):
        check_identity([client], name, IDENTITY)
        require_identity([client], name, IDENTITY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"partitions": 16}, ["partitions is 16", "made with 8", "TALLYHOUSE_PARTITIONS"]),
        ({"hash_name": "xxh3-2"}, ["hash_name is 'xxh3-2'", "'xxh3-1'", "the version of Tallyhouse"]),
        ({"log_id": "log-2"}, ["log_id is 'log-2'", "'log-1'", "belong together"]),
    ],
)
def test_another_identity_is_refused(chdb: Chdb, change: dict[str, int | str], words: list[str]) -> None:
    """The error names what differs and how to mend it; the next start is refused as well."""
    client, name = chdb.database("default"), next(names)
    migrate(client, name)
    check_identity([client], name, IDENTITY)
    for check in (check_identity, require_identity):
        with pytest.raises(IdentityChanged) as refusal:
            check([client], name, msgspec.structs.replace(IDENTITY, **change))
        assert [part for part in words if part not in str(refusal.value)] == []
    check_identity([client], name, IDENTITY)


@pytest.fixture(scope="module")
def servers(server: ClickHousePool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[SqlClient]]:
    """Two servers, each with data of its own."""
    with (
        StoreProcess(tmp_path_factory.mktemp("another_store")) as process,
        ClickHousePool(process.address, 1, EngineLimits()) as another,
    ):
        yield [server.database("default"), another.database("default")]


@pytest.fixture
def database(servers: Sequence[SqlClient]) -> str:
    """A database migrated on both servers."""
    name = next(names)
    for client in servers:
        migrate(client, name)
    return name


def refusal(check: Callable[..., None], shards: Sequence[SqlClient], database: str) -> str:
    with pytest.raises(IdentityChanged) as caught:
        check(shards, database, IDENTITY)
    return str(caught.value)


CHECKS = pytest.mark.parametrize("check", [check_identity, require_identity], ids=["migrate", "any other command"])


@CHECKS
def test_shards_in_another_order_are_refused(
    servers: Sequence[SqlClient], database: str, check: Callable[..., None]
) -> None:
    """Otherwise a partition's claims would be looked up on the wrong shard, and its whole log counted again."""
    for _ in range(2):
        check_identity(servers, database, IDENTITY)
        require_identity(servers, database, IDENTITY)
    words = refusal(check, servers[::-1], database)
    assert "address 1 of TALLYHOUSE_CLICKHOUSE_URL is the shard that was address 2" in words
    assert "address 2 of TALLYHOUSE_CLICKHOUSE_URL is the shard that was address 1" in words
    require_identity(servers, database, IDENTITY)


@CHECKS
def test_a_shard_is_not_taken_for_two(servers: Sequence[SqlClient], database: str, check: Callable[..., None]) -> None:
    """Two addresses of one shard are refused."""
    check_identity(servers, database, IDENTITY)
    assert "address 2 of TALLYHOUSE_CLICKHOUSE_URL is the shard that was address 1" in refusal(
        check, [servers[0], servers[0]], database
    )


def test_two_addresses_of_one_shard_are_refused_at_the_first_start(servers: Sequence[SqlClient], database: str) -> None:
    """Once that is mended, the start succeeds."""
    refusal(check_identity, [servers[0], servers[0]], database)
    check_identity(servers, database, IDENTITY)
    require_identity(servers, database, IDENTITY)


@CHECKS
def test_another_number_of_shards_is_refused(
    servers: Sequence[SqlClient], database: str, check: Callable[..., None]
) -> None:
    """The number of shards is fixed for the life of the data, like that of partitions."""
    check_identity(servers, database, IDENTITY)
    assert "names 1 shards, but this data was made with 2" in refusal(check, servers[:1], database)


@CHECKS
def test_a_shard_whose_data_is_lost_is_refused(
    servers: Sequence[SqlClient], database: str, check: Callable[..., None]
) -> None:
    """On an empty server in its place all of its partitions would be counted again."""
    check_identity(servers, database, IDENTITY)
    servers[1].command(f"TRUNCATE TABLE {database}.shard")
    assert "address 2 of TALLYHOUSE_CLICKHOUSE_URL has lost its data" in refusal(check, servers, database)


@pytest.fixture
def old(chdb: Chdb) -> str:
    """A store of a release in which shards had no numbers."""
    client, name = chdb.database("default"), next(names)
    migrate(client, name)
    check_identity([client], name, IDENTITY)
    client.command(f"DROP TABLE {name}.shard SYNC")
    client.command(f"ALTER TABLE {name}.migrations DELETE WHERE number = 2 SETTINGS mutations_sync = 1")
    return name


def test_a_store_from_before_shards_had_numbers_is_the_only_one(chdb: Chdb, old: str) -> None:
    """It works once migrated; until then every other command is refused."""
    client = chdb.database("default")
    with pytest.raises(Conflict, match="run `tallyhouse migrate` first"):
        require_identity([client], old, IDENTITY)
    migrate(client, old)
    with pytest.raises(Conflict, match="run `tallyhouse migrate` first"):
        require_identity([client], old, IDENTITY)
    check_identity([client], old, IDENTITY)
    require_identity([client], old, IDENTITY)
    assert client.query_rows(f"SELECT * FROM {old}.shard") == [(0, 1)]


def test_a_store_from_before_shards_had_numbers_does_not_become_two(
    chdb: Chdb, old: str, servers: Sequence[SqlClient]
) -> None:
    """A second server is refused, and nothing is stored."""
    client = chdb.database("default")
    for shard in (client, servers[0]):
        migrate(shard, old)
    assert "names 2 shards, but this data was made with 1" in refusal(check_identity, [client, servers[0]], old)
    assert client.query_rows(f"SELECT * FROM {old}.shard") == []
    check_identity([client], old, IDENTITY)


def test_an_interrupted_first_start_can_be_repeated(servers: Sequence[SqlClient], database: str) -> None:
    """The start was killed when only one of the shards had its number."""
    check_identity(servers, database, IDENTITY)
    for table in ("identity", "shard"):
        servers[0].command(f"TRUNCATE TABLE {database}.{table}")
    with pytest.raises(Conflict, match="run `tallyhouse migrate` first"):
        require_identity(servers, database, IDENTITY)
    check_identity(servers, database, IDENTITY)
    require_identity(servers, database, IDENTITY)
