"""A cluster with a usage store of two shards: real processes, each partition in its shard, queries over both.

Replicated tables and statements ON CLUSTER need more servers than tests have, so the tables are plain ones, made here.
One engine has both shards, each behind an address of its own.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stream_processors.backends.sql.clickhouse_http import ClickHousePool
from stream_processors.backends.sql.client import SqlClient
from stream_processors.backends.sql.engine_settings import EngineLimits
from stream_processors.backends.sql.identity import check_identity
from stream_processors.backends.sql.migrate import migrate
from stream_processors.backends.sql.set_aside import create_set_aside_table
from tallyhouse.cluster.connections import identify_log
from tallyhouse.runtime.environment import read_cluster_settings
from tests import load_generator
from tests.backing_services.store_process import StoreProcess
from tests.backing_services.tcp_relay import Relay
from tests.backing_services.two_shard_engine import CLUSTER, read_as_one
from tests.server_process import free_port, wait_until
from tests.tallyhouse.cluster.installation import CHECK, Installation, metric_sum

EVENTS = 20_000


class Shards(msgspec.Struct):
    """The installation, and a client of the engine behind both addresses."""

    installation: Installation
    engine: SqlClient
    names: tuple[str, str]

    def partitions_in(self, shard: str) -> dict[str, set[int]]:
        """The partitions with rows in the shard, by table."""
        tables = ("events", "seen", "flushes")
        return {t: {p for (p,) in self.engine.query_rows(f"SELECT DISTINCT p FROM {shard}.{t}")} for t in tables}


@pytest.fixture
def shards(installation: Installation, tmp_path: Path) -> Iterator[Shards]:
    """An installation with two shards; its other servers are as usual."""
    installation.prepare()
    base = f"sharded_{os.urandom(6).hex()}"
    names = (f"{base}_0", f"{base}_1")
    with (
        StoreProcess(tmp_path / "store", "tests.backing_services.two_shard_engine") as process,
        Relay(process.address, (names[0], names[1])) as second,
        ClickHousePool(process.address, 2, EngineLimits()) as server,
        ClickHousePool(second.address, 2, EngineLimits()) as second_server,
    ):
        installation.settings |= {
            "CLICKHOUSE_URL": ",".join(f"http://127.0.0.1:{at.port}" for at in (process.address, second.address)),
            "CLICKHOUSE_CLUSTER": CLUSTER,
            "CLICKHOUSE_DATABASE": names[0],
        }
        clients = [server.database("default"), second_server.database("default")]
        for client in clients:
            migrate(client, names[0])
        create_set_aside_table(clients[0], names[0])
        environ = {f"TALLYHOUSE_{name}": value for name, value in installation.settings.items()}
        identity, _ = asyncio.run(identify_log(read_cluster_settings(environ)))
        check_identity(clients, names[0], identity)
        read_as_one(clients[0], names, f"{base}_r")
        clients[0].command(f"RENAME DATABASE {base}_r_all TO {names[0]}_all")
        yield Shards(installation, clients[0], names)


@pytest.mark.long
def test_each_partition_is_in_its_shard_and_usage_covers_all_shards(shards: Shards) -> None:
    """With a worker killed under load: every value equals what was sent, and every row is in its shard."""
    installation = shards.installation
    with installation.gateway() as gateway, installation.worker(), installation.worker() as mortal:
        sending = load_generator.start(gateway.url, f"--events={EVENTS}", "--rate=4000")
        wait_until("some events to be counted", lambda: metric_sum(mortal.url, "flush_events_total") > 1000)
        mortal.kill()
        assert load_generator.finish(sending)["acked"] == EVENTS
        assert gateway.stop() == 0
    for number, shard in enumerate(shards.names):
        own = set(range(number, int(installation.settings["PARTITIONS"]), 2))
        assert shards.partitions_in(shard) == {"events": own, "seen": own, "flushes": own}


@pytest.mark.long
def test_shards_named_in_another_order_are_refused(shards: Shards) -> None:
    """At the start of every process, before anything is counted."""
    first, second = shards.installation.settings["CLICKHOUSE_URL"].split(",")
    for words in (["gateway"], ["worker"], ["worker", *CHECK]):
        run = shards.installation.run(*words, CLICKHOUSE_URL=f"{second},{first}", PORT="0", METRICS_PORT="0")
        assert run.returncode in (1, 2)
        assert "address 1 of TALLYHOUSE_CLICKHOUSE_URL is the shard that was address 2" in run.stderr
        assert "Traceback" not in run.stderr


@pytest.mark.long
def test_every_shard_needs_an_address(shards: Shards) -> None:
    """Partitions of a shard without an address would never be counted."""
    first, _ = shards.installation.settings["CLICKHOUSE_URL"].split(",")
    for words in (["gateway"], ["migrate"]):
        run = shards.installation.run(*words, CLICKHOUSE_URL=first, PORT="0", METRICS_PORT="0")
        assert run.returncode == 2
        assert "says it has 2 shards: name one address for each of them" in run.stderr
    run = shards.installation.run("worker", *CHECK, CLICKHOUSE_CLUSTER="another", METRICS_PORT="0")
    assert run.returncode == 2
    assert "does not have it in its remote_servers" in run.stderr


@pytest.mark.long
def test_a_check_reports_each_shard_that_does_not_answer(shards: Shards) -> None:
    """By its place among the addresses, without the shards that answer."""
    run = shards.installation.run("migrate", *CHECK)
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.split(": ")[0] for line in run.stdout.splitlines() if line.startswith("store")] == [
        "store, address 1 of TALLYHOUSE_CLICKHOUSE_URL",
        "store, address 2 of TALLYHOUSE_CLICKHOUSE_URL",
    ]
    first, _ = shards.installation.settings["CLICKHOUSE_URL"].split(",")
    run = shards.installation.run("migrate", *CHECK, CLICKHOUSE_URL=f"{first},http://127.0.0.1:{free_port()}")
    assert run.returncode == 2
    assert run.stderr.count("error: ") == 1
    assert "store, address 2 of TALLYHOUSE_CLICKHOUSE_URL: " in run.stderr
