"""A log that stops answering under two hundred clients: memory is bounded, each client is answered, no event lost."""

import asyncio
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from ingest_gateway.ingest.intake_queue import IntakePolicy
from tallyhouse.load.connection import LOST
from tests.e2e.client_flood import ClientFlood, ClientKind
from tests.e2e.stalled_server import STALLED
from tests.server_process import ServerProcess

SOAK_SECONDS = os.environ.get("SOAK_SECONDS")
STALL_SECONDS = float(SOAK_SECONDS or 15)
"""`make soak` stalls for the full minute."""
STALLED_CAP = 1_000_000_000
RSS_CAP = 1_500_000_000
"""Peak memory of the whole process (gateway, processors, engine): while the log hangs, and over its life."""
REFUSED_WITHIN = 2.0 if SOAK_SECONDS else IntakePolicy(partitions=1).answer_timeout_seconds
"""A refusal is quicker than any answer may be. How quick depends on the machine: only the soak judges it."""
REFUSING_AFTER = 4.0
"""Seconds after which the gateway has detected that the log hangs, and refuses every post at once."""

KINDS = [
    ClientKind(clients=120, events=1, padding=40),
    ClientKind(clients=64, events=100, padding=40),
    ClientKind(clients=16, events=10_000, padding=800),
]


def peak_rss(server: ServerProcess) -> int:
    """Peak resident memory of the process, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.long
def test_a_stalled_log_costs_patience_never_events_nor_memory(tmp_path: Path) -> None:
    """200 clients, bodies up to 10 MB: quick refusals with Retry-After, capped memory, and every event counted."""
    with ServerProcess(tmp_path / "data", program=("tests.e2e.stalled_server",)) as server:
        server.make_meter("requests")
        server.make_meter("tokens", "$.tokens")
        pid = server.pid
        flood, stall = ClientFlood(server.url), Stall(server)
        asyncio.run(_attack(flood, stall))
        server.wait_until_counted()
        print(f"{flood.acked} acked, {len(flood.refused)} refused")
        print(f"most memory: {stall.rss} until the log went on, {peak_rss(server)} ever")
        _check_answers(flood, stall)
        assert (server.pid, server.client.get("/readyz").status_code) == (pid, 200)
        assert server.total("requests") == flood.acked
        assert server.total("tokens") == flood.acked * Decimal("0.5")
        assert stall.rss < STALLED_CAP
        assert peak_rss(server) < RSS_CAP


@pytest.mark.long
def test_events_that_compress_a_hundredfold_are_counted(tmp_path: Path) -> None:
    """Hundreds of megabytes that look small in the log: no insert exceeds what the store accepts at once."""
    with ServerProcess(tmp_path / "data") as server:
        server.make_meter("requests")
        flood = ClientFlood(server.url)
        asyncio.run(_attack_for(2, flood, [ClientKind(clients=8, events=1000, padding=9000)]))
        server.wait_until_counted()
        assert server.total("requests") == flood.acked
        assert "tallyhouse_store_retries_total{" not in server.client.get("/metrics").text
        print(f"{flood.acked} acked, most memory {peak_rss(server)}")


async def _attack_for(seconds: float, flood: ClientFlood, kinds: list[ClientKind]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, stop.set)
    await flood.run(kinds, stop)


class Stall:
    """The interval in which the log hangs."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._sign = server.data / STALLED
        self.began = self.ended = 0.0
        self.rss = 0

    def begin(self) -> None:
        self._sign.touch()
        self.began = time.monotonic()

    def end(self) -> None:
        self.ended = time.monotonic()
        self.rss = peak_rss(self._server)
        self._sign.unlink()


async def _attack(flood: ClientFlood, stall: Stall) -> None:
    """The log hangs while the clients post; once it answers again, every client delivers what it holds."""
    stop = asyncio.Event()
    running = asyncio.create_task(flood.run(KINDS, stop))
    await asyncio.sleep(1)
    stall.begin()
    await asyncio.sleep(STALL_SECONDS)
    stall.end()
    stop.set()
    await running


def _check_answers(flood: ClientFlood, stall: Stall) -> None:
    """A post during the stall is refused at once, with the seconds after which to retry."""
    assert flood.failures == {}
    assert {refusal.status for refusal in flood.refused} <= {503, LOST}
    refused_in_stall = [
        refusal
        for refusal in flood.refused
        if refusal.at - refusal.seconds > stall.began + REFUSING_AFTER and refusal.at < stall.ended
    ]
    with_response = [refusal for refusal in refused_in_stall if refusal.status == 503]
    waits = sorted(refusal.seconds for refusal in with_response)
    late = waits[-max(1, len(waits) // 100)]
    print(f"{len(refused_in_stall)} sent away, {len(with_response)} with an answer, p99 within {late:.2f} s")
    assert len(with_response) > 0.9 * len(refused_in_stall)
    assert all(refusal.retry_after >= 1 for refusal in with_response)
    assert {refusal.code for refusal in with_response} == {"UNAVAILABLE"}
    assert late < REFUSED_WITHIN
