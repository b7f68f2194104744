"""Two accounts, one of them absurd: hundreds of meters count each of its events, and it posts as fast as it may."""

import threading
import time
from pathlib import Path

import pytest

from tests.attack.test_backlog import rows
from tests.server_process import GatewayClient, ServerProcess, free_port, wait_until

ROWS = 100_000
METERS = 400
EVENTS = 2_000
POST = 100


class AbsurdAccount(threading.Thread):
    """Posts its events one batch after the other, and again after each refusal."""

    def __init__(self, server: ServerProcess, at: str) -> None:
        super().__init__(daemon=True)
        self._url = server.url
        self._at = at
        self.refused = 0
        self.accepted = 0

    def run(self) -> None:
        with GatewayClient(self._url) as client:
            self._post_all(client)

    def _post_all(self, gateway: GatewayClient) -> None:
        while self.accepted < EVENTS:
            events = [
                {
                    "event_name": "api.request",
                    "idempotency_key": f"absurd_{number}",
                    "customer_id": f"customer_{number}",
                    "timestamp": self._at,
                    "properties": {},
                }
                for number in range(self.accepted, self.accepted + POST)
            ]
            answer = gateway.client.post("/v1/events/ingest", json={"events": events})
            if answer.status_code == 429:
                self.refused += 1
                time.sleep(float(answer.headers["retry-after"]))
                continue
            assert answer.status_code == 200, answer.text
            self.accepted += POST


@pytest.mark.long
def test_an_absurd_account_delays_no_other_for_long(tmp_path: Path) -> None:
    """Between a post of the other account and the moment at which it is counted, no more than what may wait is counted
    of the absurd one."""
    port = free_port()
    with ServerProcess(tmp_path / "data", clickhouse_port=str(port), fan_out_rows=str(ROWS)) as server:
        for number in range(METERS):
            server.make_meter(f"count_{number}")
        made = server.post("/v1/keys", {"name": "other", "scopes": ["admin"], "mode": "test"}, expect=201)
        at = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime())
        absurd = AbsurdAccount(server, at)
        with GatewayClient(server.url, made["api_key"]["token"]) as other:
            other.make_meter("calls")
            absurd.start()
            lags, most, posted = [], 0, 0
            while absurd.is_alive():
                before, began = counted_rows(port), time.monotonic()
                event = {"event_name": "api.request", "customer_id": "acme", "timestamp": at, "properties": {}}
                other.post("/v1/events/ingest", {"events": [{**event, "idempotency_key": f"other_{posted}"}]})
                posted += 1
                wait_until("the other account's event to be counted", lambda: other.total("calls") == posted)  # noqa: B023
                lags.append(time.monotonic() - began)
                most = max(most, counted_rows(port) - before)
            print(f"{posted} events of the other account, visible after {max(lags):.1f} s; {absurd.refused} refusals")
            assert absurd.refused > 0
            assert most <= 3 * ROWS  # A flush that ran, the one with the event, and what came before the query.
            assert other.total("calls") == posted
        server.wait_until_counted()
        assert rows(port, "SELECT meter, sum(count) FROM usage WHERE meter LIKE 'count_%' GROUP BY meter") == {
            f"count_{number}": EVENTS for number in range(METERS)
        }


def counted_rows(port: int) -> int:
    return sum(rows(port, "SELECT 'all', sum(count) FROM usage WHERE meter LIKE 'count_%'").values())
