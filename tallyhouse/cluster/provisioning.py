"""`tallyhouse topics` and `migrate`: make the topic, the tables of ledger and usage store, and the first admin key."""

import asyncio
from collections.abc import Iterator, Sequence

from rating.ledger.ledger import open_ledger
from rating.ledger.migrate import migrate as migrate_ledger
from rating.ledger.migrate import require_newest
from schemas.errors import Conflict
from stream_processors.backends.log.kafka.topic import create_topic
from stream_processors.backends.sql.identity import StoreIdentity, check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.topology import StoreTopology
from tallyhouse.cluster.connections import brokers_of, identify_log, topic_of
from tallyhouse.cluster.startup import start_process
from tallyhouse.cluster.store import open_servers, require_shards
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.startup import Runtime


def run_create_topic() -> bool:
    """Makes the log's topic. Returns False if it exists already."""
    settings, _ = start_process()
    return asyncio.run(create_topic(brokers_of(settings), topic_of(settings)))


def run_check() -> Sequence[str]:
    """How the topic differs from the settings. Raises IdentityChanged if the number of partitions does."""
    settings, _ = start_process()
    _, differences = asyncio.run(identify_log(settings))
    return [str(difference) for difference in differences]


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


async def _bootstrap(settings: ClusterSettings, token: str | None, runtime: Runtime) -> str | None:
    with open_ledger(settings.ledger_url, runtime.clock, prepare=require_newest) as ledger:
        made = await ledger.accounts.bootstrap(token)
    return None if made is None else made[1]
