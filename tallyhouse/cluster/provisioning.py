"""`tallyhouse topics` and `migrate`: make the topic, the tables of ledger and usage store, and the first admin key."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate as migrate_ledger
from rating.ledger.migrate import require_newest
from schemas.errors import Conflict
from stream_processors.backends.log.kafka.policy import KafkaPolicy
from stream_processors.backends.log.kafka.records import describe_payload
from stream_processors.backends.log.kafka.topic import create_topic
from stream_processors.backends.sql.identity import StoreIdentity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.set_aside import SetAsideRecord, create_set_aside_table
from stream_processors.backends.sql.topology import StoreTopology
from tallyhouse.cluster.connections import brokers_of, identify_log, open_connections, topic_of
from tallyhouse.cluster.startup import start_process
from tallyhouse.cluster.store import open_servers, require_shards
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.startup import Runtime

MOST_LISTED = 1_000


def run_create_topic() -> bool:
    """Makes the log's topic. Returns False if it exists already."""
    settings, _ = start_process()
    return asyncio.run(create_topic(brokers_of(settings), topic_of(settings)))


def run_check() -> Sequence[str]:
    """How the topic differs from the settings. Raises IdentityChanged if the number of partitions does."""
    settings, _ = start_process()
    _, differences = asyncio.run(identify_log(settings))
    return [str(difference) for difference in differences]


def run_skip(partition: int, offset: int, *, confirmed: bool) -> Iterator[str]:
    """Says what the record at this place is, and stores the decision to skip it if that is confirmed.

    Raises Conflict for a frame, which is counted, and for a place without a record.
    """
    settings, runtime = start_process()
    yield from asyncio.run(_skip(settings, runtime, partition, offset, confirmed=confirmed))


def run_list_foreign() -> Iterator[str]:
    """A line for each foreign record that was met, up to `MOST_LISTED`."""
    settings, runtime = start_process()
    yield from asyncio.run(_list_foreign(settings, runtime))


async def _skip(
    settings: ClusterSettings, runtime: Runtime, partition: int, offset: int, *, confirmed: bool
) -> Sequence[str]:
    async with AsyncExitStack() as opened:
        log, store, _ = await open_connections(opened, settings, runtime, KafkaPolicy())
        if not 0 <= partition < settings.partitions:
            raise Conflict(f"there is no partition {partition}: the log has 0 to {settings.partitions - 1}")
        record = await log.read_foreign(partition, offset)
        if record is None:
            raise Conflict(
                f"partition {partition}, offset {offset} holds a frame of a gateway, or no record: there is nothing "
                "to skip"
            )
        lines = [
            str(record),
            f"appended at {record.appended_at // 1000} ms since 1970, beginning with {record.payload[:48]!r}",
        ]
        if not record.may_hold_events:
            return [*lines, "no gateway wrote it: it is stepped over without a decision"]
        lines.append(f"its payload as a gateway's: {describe_payload(record)}")
        if not confirmed:
            return [*lines, "nothing is decided yet: the same command with --yes skips it, which cannot be undone"]
        await store.set_aside.set_aside([record])
        await store.set_aside.skip(record)
        return [*lines, "skipped: its partition continues within seconds, and nothing in this record is counted"]


async def _list_foreign(settings: ClusterSettings, runtime: Runtime) -> Sequence[str]:
    async with AsyncExitStack() as opened:
        _, store, _ = await open_connections(opened, settings, runtime, KafkaPolicy())
        found = await store.set_aside.list(MOST_LISTED)
    return [f"{listed.record}; {_decision(listed)}" for listed in found] or ["no foreign record was met"]


def _decision(listed: SetAsideRecord) -> str:
    if not listed.record.may_hold_events:
        return "it is stepped over"
    return "it is skipped" if listed.is_skipped else "its partition stops before it"


def run_migrate() -> Iterator[str]:
    """Migrates ledger and usage store, and yields a line for each step once it is done."""
    settings, runtime = start_process()
    identity, differences = asyncio.run(identify_log(settings))
    yield from (f"topic {settings.kafka_topic}: {difference}" for difference in differences)
    migrate_ledger(settings.ledger_url)
    yield "the ledger is at this release's version"
    _migrate_store(settings, identity)
    yield f"the usage store's database {settings.clickhouse_database} is at this release's version"
    if settings.bootstrap_api_key is not None:
        made = asyncio.run(_bootstrap(settings, settings.bootstrap_api_key, runtime))
        yield "the first admin key is installed" if made else "the ledger has keys already: none was installed"


def run_make_admin_key(*, force: bool) -> str | None:
    """Makes an admin key and returns its secret; None if it is that of the variable.

    Raises Conflict while another admin key works, unless forced.
    """
    settings, runtime = start_process()

    async def make() -> str:
        with open_ledger(settings.ledger_url, runtime.clock, prepare=require_newest) as ledger:
            _, token = await ledger.accounts.make_admin_key(settings.bootstrap_api_key, force=force)
        return token

    token = asyncio.run(make())
    return None if settings.bootstrap_api_key is not None else token


def run_bootstrap() -> str:
    """Makes the first admin key and returns its secret. Raises Conflict if the ledger has keys."""
    settings, runtime = start_process()
    if settings.bootstrap_api_key is not None:
        raise Conflict(
            "TALLYHOUSE_BOOTSTRAP_API_KEY is set: `tallyhouse migrate` installs that one. Unset it to have one made."
        )
    token = asyncio.run(_bootstrap(settings, None, runtime))
    if token is None:
        raise Conflict("the ledger has keys already: `tallyhouse keys create` makes more, with an admin key")
    return token


def _migrate_store(settings: ClusterSettings, identity: StoreIdentity) -> None:
    topology = StoreTopology(settings.clickhouse_cluster)
    with open_servers(settings) as servers:
        shards = [server.database("default") for server in servers]
        require_shards(shards, settings.clickhouse_cluster)
        # In a cluster, the statements run ON CLUSTER: one server is enough.
        migrate(shards[0], settings.clickhouse_database, topology)
        check_identity(shards, settings.clickhouse_database, identity, topology)
        create_set_aside_table(shards[0], settings.clickhouse_database, topology)


async def _bootstrap(settings: ClusterSettings, token: str | None, runtime: Runtime) -> str | None:
    with open_ledger(settings.ledger_url, runtime.clock, prepare=require_newest) as ledger:
        made = await ledger.accounts.bootstrap(token)
    return None if made is None else made[1]
