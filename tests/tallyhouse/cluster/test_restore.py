"""The usage store is put back from a copy: what was counted after the copy is counted again, from the log, once."""

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tests import load_generator
from tests.backing_services.store_process import StoreProcess
from tests.server_process import GatewayClient
from tests.tallyhouse.cluster.installation import Installation

METERS = ("load_requests", "load_tokens", "load_users")

Usage = dict[str, dict[str, Decimal]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path / "store") as own:
        yield own


@pytest.fixture
def store_address(store: StoreProcess) -> ServerAddress:
    return store.address


def copied(store: StoreProcess, source: Path, target: Path) -> None:
    """With no worker running, as the run book says."""
    store.kill()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    store.start()


def counted_by_a_worker(installation: Installation, api: GatewayClient) -> Usage:
    with installation.worker() as worker:
        api.wait_until_counted()
        usage = {meter: api.usage(meter) for meter in METERS}
        assert worker.stop() == 0
    return usage


@pytest.mark.long
def test_a_store_put_back_from_a_copy_is_counted_up_from_the_log(
    installation: Installation, store: StoreProcess, tmp_path: Path
) -> None:
    """Although Kafka was told that all of it is counted."""
    data, copy = tmp_path / "store", tmp_path / "copy"
    installation.prepare()
    with installation.gateway() as gateway, GatewayClient(gateway.url) as api:
        load_generator.only_send(gateway.url, events=3000, customers=50)
        first = counted_by_a_worker(installation, api)
        copied(store, data, copy)
        load_generator.only_send(gateway.url, events=30_000, customers=50, seed=2)
        before = counted_by_a_worker(installation, api)
        assert len(before["load_tokens"]) > len(first["load_tokens"]) > 0
        copied(store, copy, data)
        assert {meter: api.usage(meter) for meter in METERS} == first
        assert counted_by_a_worker(installation, api) == before
