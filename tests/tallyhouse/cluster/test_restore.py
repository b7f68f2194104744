"""The usage store is restored from a copy: later events are counted again from the log, each once."""

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


def copy(store: StoreProcess, source: Path, target: Path) -> None:
    """Copies the store's folder while no worker runs, as the run book says."""
    store.kill()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    store.start()


def count_by_a_worker(installation: Installation, api: GatewayClient) -> Usage:
    with installation.worker() as worker:
        api.wait_until_counted()
        usage = {meter: api.usage(meter) for meter in METERS}
        assert worker.stop() == 0
    return usage


@pytest.mark.long
def test_a_store_restored_from_a_copy_catches_up_from_the_log(
    installation: Installation, store: StoreProcess, tmp_path: Path
) -> None:
    """Although the offsets committed to Kafka are past those events."""
    data, backup = tmp_path / "store", tmp_path / "copy"
    installation.prepare()
    with installation.gateway() as gateway, GatewayClient(gateway.url) as api:
        load_generator.only_send(gateway.url, events=3000, customers=50)
        first = count_by_a_worker(installation, api)
        copy(store, data, backup)
        load_generator.only_send(gateway.url, events=30_000, customers=50, seed=2)
        before = count_by_a_worker(installation, api)
        assert len(before["load_tokens"]) > len(first["load_tokens"]) > 0
        copy(store, backup, data)
        assert {meter: api.usage(meter) for meter in METERS} == first
        assert count_by_a_worker(installation, api) == before
