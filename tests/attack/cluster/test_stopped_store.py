"""A usage store that the system holds: requests are answered within two seconds, name it, and events are accepted."""

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.backing_services.store_process import StoreProcess
from tests.server_process import GatewayClient, wait_until
from tests.tallyhouse.cluster.installation import Installation, is_ready

BOUND_SECONDS = 2.0


@pytest.fixture
def store(tmp_path: Path, installation: Installation) -> Iterator[StoreProcess]:
    """A store of the installation's own, which may be stopped."""
    with StoreProcess(tmp_path / "store") as store:
        installation.settings["CLICKHOUSE_URL"] = f"http://{store.address.host}:{store.address.port}"
        yield store


@pytest.mark.long
def test_a_stopped_store_is_named_within_two_seconds(installation: Installation, store: StoreProcess) -> None:
    """Usage took minutes. What was accepted meanwhile is counted when the store continues."""
    installation.prepare()
    with installation.gateway() as gateway, installation.worker(), GatewayClient(gateway.url) as api:
        api.make_meter("calls")
        event = {"event_name": "api.request", "customer_id": "acme", "properties": {}}
        now = datetime.now(UTC).isoformat()
        usage = {"meter": "calls", "window": "none", "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}
        store.signal(signal.SIGSTOP)
        try:
            longest = 0.0
            for number in range(4):
                api.post("/v1/events/ingest", {"events": [{**event, "timestamp": now, "idempotency_key": str(number)}]})
                for path, parameters in (("/v1/usage", usage), ("/v1/events", {}), ("/v1/rejects", {})):
                    began = time.monotonic()
                    refused = api.client.get(path, params=parameters)
                    longest = max(longest, time.monotonic() - began)
                    assert refused.status_code == 503
                    assert "the usage store at 127.0.0.1" in refused.json()["error"]["message"]
                began = time.monotonic()
                assert "usage store" in api.client.get("/v1/status").text
                longest = max(longest, time.monotonic() - began)
            print(f"the longest answer took {longest:.2f} s")
        finally:
            store.signal(signal.SIGCONT)
        assert longest < BOUND_SECONDS + 1  # One second for a machine that is busy with other tests.
        wait_until("readiness", lambda: is_ready(gateway.url))
        api.wait_until_counted()
        assert api.total("calls") == 4
