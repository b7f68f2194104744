"""Processes killed at random, many times, while producers post: every acked event is counted once."""

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server_process import KEY, ServerProcess, wait_until

pytestmark = pytest.mark.long

KILLS = 20
WORKER_KILLS = 6
SENDERS = 3
BATCH = 40


def event(key: str, customer: str, value: str, now: datetime) -> dict[str, Any]:
    return {
        "event_name": "api.request",
        "idempotency_key": key,
        "customer_id": customer,
        "timestamp": now.isoformat(),
        "properties": {"tokens": value, "user": key[-2:]},
    }


class Sender(threading.Thread):
    """A producer that retries unacked batches, abandons a few of them, and repeats some acked ones."""

    def __init__(self, number: int, url: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._url = url
        self._stopping = stop
        self._random = random.Random(number)
        self.acked: dict[str, dict[str, Any]] = {}
        self.abandoned: dict[str, dict[str, Any]] = {}
        self.batches: list[frozenset[str]] = []
        """The keys of each batch."""
        self.failures: list[str] = []
        self.retried = 0
        self.repeated = 0
        self.recognised = 0
        """Repeats of a whole batch that were answered as duplicates."""

    def run(self) -> None:
        batches = itertools.count()
        with httpx.Client(base_url=self._url, timeout=10, headers={"Authorization": f"Bearer {KEY}"}) as client:
            while not self._stopping.is_set():
                self._post(client, self._batch(next(batches)))

    def _post(self, client: httpx.Client, events: list[dict[str, Any]]) -> None:
        self.batches.append(frozenset(event["idempotency_key"] for event in events))
        answer = self._send(client, events, attempts=1 if self._random.random() < 0.3 else 10_000)
        if answer is None:
            self.abandoned |= {event["idempotency_key"]: event for event in events}
            return
        self.acked |= {event["idempotency_key"]: event for event in events}
        if self._random.random() < 0.2:
            repeat = self._send(client, events, attempts=10_000)
            self.repeated += repeat is not None
            self.recognised += repeat is not None and repeat["duplicates"] == len(events)

    def _batch(self, batch: int) -> list[dict[str, Any]]:
        now = datetime.now(UTC) - timedelta(seconds=self._random.randrange(3600))
        return [
            event(
                f"{self._number}-{batch}-{place}",
                f"customer_{self._random.randrange(7)}",
                f"{self._random.randrange(1000)}.{self._random.randrange(1000):03}",
                now,
            )
            for place in range(BATCH)
        ]

    def _send(self, client: httpx.Client, events: list[dict[str, Any]], attempts: int) -> dict[str, Any] | None:
        """The answer of the first attempt that is acked; None if there is none, or the test ends."""
        for attempt in range(attempts):
            answer = self._attempt(client, events)
            if answer is not None:
                self.retried += attempt > 0
                return answer
            if self._stopping.wait(0.02):
                break
        return None

    def _attempt(self, client: httpx.Client, events: list[dict[str, Any]]) -> dict[str, Any] | None:
        try:
            response = client.post("/v1/events/ingest", json={"events": events})
        except httpx.TransportError:
            return None
        answer: dict[str, Any] = response.json()
        if response.status_code == 200:
            # Each event is accepted or a duplicate. Which of the two depends on what the gateway can look up in time.
            if answer["accepted"] + answer["duplicates"] != len(events) or answer["rejected"]:
                self.failures.append(response.text)
            return answer
        if response.status_code != 503:
            self.failures.append(response.text)
        return None


def stored_events(server: ServerProcess) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = server.get("/v1/events", limit=1000, **({"cursor": cursor} if cursor else {}))
        events += page["events"]
        cursor = page["pagination"]["next_cursor"]
        if not page["pagination"]["has_more"]:
            return events


@pytest.mark.slow
def test_every_acked_event_is_counted_once_after_kills_of_the_whole_server(tmp_path: Path) -> None:
    """While three producers post: usage, raw events and acked events agree exactly."""
    chance = random.Random(7)
    stop = threading.Event()
    with ServerProcess(tmp_path / "data", flush_linger="50ms", partitions="3") as server:
        server.make_meter("tokens", "$.tokens")
        senders = _start_senders(server, stop)
        for kill in itertools.count():
            if kill >= KILLS and _have_met_kills(senders, KILLS):
                break
            acked = sum(len(sender.acked) for sender in senders)
            wait_until("some progress", lambda: sum(len(sender.acked) for sender in senders) > acked)  # noqa: B023
            time.sleep(chance.random() * 0.5)
            server.kill()
            server.start()
            if kill == KILLS // 2:
                server.make_meter("requests")
        # On a busy machine little is posted between two kills; without repeats nothing would be proved.
        _wait_for_repeats(senders, KILLS)
        _stop_and_wait_until_counted(server, senders, stop)
        _check(server, senders)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its processes")
def test_every_acked_event_is_counted_once_after_kills_of_the_worker(tmp_path: Path) -> None:
    """Producers never have to retry: the gateway takes events in while the worker is down."""
    chance = random.Random(7)
    stop = threading.Event()
    with ServerProcess(tmp_path / "data", flush_linger="50ms", partitions="3") as server:
        server.make_meter("tokens", "$.tokens")
        senders = _start_senders(server, stop)
        for kill in range(WORKER_KILLS):
            wait_until("a worker", lambda: server.client.get("/readyz").status_code == 200)
            time.sleep(chance.random() * 0.5)
            killed = server.worker
            os.kill(killed, signal.SIGKILL)
            wait_until("the loss to be noticed", lambda: _other_worker(server, killed))  # noqa: B023
            if kill == WORKER_KILLS // 2:
                server.make_meter("requests")
        _wait_for_repeats(senders, WORKER_KILLS)
        _stop_and_wait_until_counted(server, senders, stop)
        assert not any(sender.retried for sender in senders)
        _check(server, senders)


def _have_met_kills(senders: list[Sender], enough: int) -> bool:
    """True if producers retried after kills, and gave batches up: without those nothing would be proved."""
    return sum(sender.retried for sender in senders) >= enough and any(sender.abandoned for sender in senders)


def _wait_for_repeats(senders: list[Sender], enough: int) -> None:
    wait_until("enough repeats", lambda: sum(sender.repeated for sender in senders) >= enough)
    wait_until("a repeat to be answered as duplicates", lambda: any(sender.recognised for sender in senders))


def _stop_and_wait_until_counted(server: ServerProcess, senders: list[Sender], stop: threading.Event) -> None:
    stop.set()
    for sender in senders:
        sender.join()
    server.wait_until_counted()


def _start_senders(server: ServerProcess, stop: threading.Event) -> list[Sender]:
    senders = [Sender(number, server.url, stop) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    return senders


def _other_worker(server: ServerProcess, killed: int) -> bool:
    try:
        return server.worker != killed
    except LookupError:
        return False


def _check(server: ServerProcess, senders: list[Sender]) -> None:
    assert [failure for sender in senders for failure in sender.failures] == []
    acked = {key: event for sender in senders for key, event in sender.acked.items()}
    possible = acked | {key: event for sender in senders for key, event in sender.abandoned.items()}
    stored = stored_events(server)
    keys = Counter(event["idempotency_key"] for event in stored)
    assert [key for key, times in keys.items() if times != 1] == []
    assert set(acked) - set(keys) == set()
    assert set(keys) - set(possible) == set()
    # One batch is one durable write, acked or not: all of it is stored, or nothing.
    batches = [batch for sender in senders for batch in sender.batches]
    assert [batch for batch in batches if len(batch & keys.keys()) not in (0, len(batch))] == []
    tokens: dict[str, Decimal] = {}
    requests: dict[str, Decimal] = {}
    for key in keys:
        customer = possible[key]["customer_id"]
        tokens[customer] = tokens.get(customer, Decimal(0)) + Decimal(possible[key]["properties"]["tokens"])
        requests[customer] = requests.get(customer, Decimal(0)) + 1
    assert server.usage("tokens") == tokens
    wait_until(
        "the later meter's count of the past",
        lambda: bool(server.get("/v1/meters/requests")["meter"]["backfill"]["done"]),
    )
    assert server.usage("requests") == requests
