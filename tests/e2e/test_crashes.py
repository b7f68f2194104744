"""kill -9 at random, many times, while producers send: every acked event is counted once."""

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
    """A producer that retries what was not acked, gives up a few batches, and sends some acked ones once more."""

    def __init__(self, number: int, url: str, stop: threading.Event, *, known_again: bool = True) -> None:
        super().__init__(daemon=True)
        self._known_again = known_again
        self._number = number
        self._url = url
        self._stop_asked = stop
        self._random = random.Random(number)
        self.acked: dict[str, dict[str, Any]] = {}
        self.abandoned: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.retried = 0
        self.repeated = 0

    def run(self) -> None:
        batches = itertools.count()
        with httpx.Client(base_url=self._url, timeout=10, headers={"Authorization": f"Bearer {KEY}"}) as client:
            while not self._stop_asked.is_set():
                self._post(client, self._batch(next(batches)))

    def _post(self, client: httpx.Client, events: list[dict[str, Any]]) -> None:
        response = self._send(client, events, patience=1 if self._random.random() < 0.3 else 10_000)
        if response is None:
            self.abandoned |= {event["idempotency_key"]: event for event in events}
            return
        self.acked |= {event["idempotency_key"]: event for event in events}
        if self._random.random() < 0.2:
            again = self._send(client, events, patience=10_000)
            self.repeated += again is not None
            if again is not None and self._known_again and again["duplicates"] != len(events):
                self.failures.append(f"acked events were not known again: {again}")

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

    def _send(self, client: httpx.Client, events: list[dict[str, Any]], patience: int) -> dict[str, Any] | None:
        """The answer, once there is a good one; None when patience ends or the test does."""
        for attempt in range(patience):
            answer = self._attempt(client, events)
            if answer is not None:
                self.retried += attempt > 0
                return answer
            if self._stop_asked.wait(0.02):
                break
        return None

    def _attempt(self, client: httpx.Client, events: list[dict[str, Any]]) -> dict[str, Any] | None:
        try:
            answer = client.post("/v1/events/ingest", json={"events": events})
        except httpx.TransportError:
            return None
        response: dict[str, Any] = answer.json()
        if answer.status_code == 200:
            # One batch is one durable write: it stands whole or not at all, and the answer must say which.
            if {response["accepted"], response["duplicates"]} != {0, len(events)} or response["rejected"]:
                self.failures.append(answer.text)
            return response
        if answer.status_code != 503:
            self.failures.append(answer.text)
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
def test_every_acked_event_is_counted_once_whatever_is_killed(tmp_path: Path) -> None:
    """20 kills while three producers send: usage, raw events and what was acked agree exactly."""
    chance = random.Random(7)
    stop = threading.Event()
    with ServerProcess(tmp_path / "data", flush_linger="50ms", partitions="3") as server:
        server.make_meter("tokens", "$.tokens")
        senders = _sending(server, stop)
        for kill in itertools.count():
            if kill >= KILLS and sum(sender.retried for sender in senders) >= KILLS:
                break
            acked = sum(len(sender.acked) for sender in senders)
            wait_until("some progress", lambda: sum(len(sender.acked) for sender in senders) > acked)  # noqa: B023
            time.sleep(chance.random() * 0.5)
            server.kill()
            server.start()
            if kill == KILLS // 2:
                server.make_meter("requests")
        # Else nothing was put to the test: on a busy machine little is sent between two kills.
        wait_until("enough to be repeated", lambda: sum(sender.repeated for sender in senders) >= KILLS)
        stop.set()
        for sender in senders:
            sender.join()
        server.wait_until_counted()
        assert sum(sender.retried for sender in senders) >= KILLS
        assert any(sender.abandoned for sender in senders)
        _check(server, senders)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its processes")
def test_every_acked_event_is_counted_once_though_its_worker_is_killed(tmp_path: Path) -> None:
    """The worker alone, again and again: producers never notice, but that a repeat may be told as new meanwhile."""
    chance = random.Random(7)
    stop = threading.Event()
    with ServerProcess(tmp_path / "data", flush_linger="50ms", partitions="3") as server:
        server.make_meter("tokens", "$.tokens")
        senders = _sending(server, stop, known_again=False)
        for kill in range(WORKER_KILLS):
            wait_until("a worker", lambda: server.client.get("/readyz").status_code == 200)
            time.sleep(chance.random() * 0.5)
            killed = server.worker
            os.kill(killed, signal.SIGKILL)
            wait_until("the loss to be noticed", lambda: _other_worker(server, killed))  # noqa: B023
            if kill == WORKER_KILLS // 2:
                server.make_meter("requests")
        wait_until("enough to be repeated", lambda: sum(sender.repeated for sender in senders) >= WORKER_KILLS)
        stop.set()
        for sender in senders:
            sender.join()
        server.wait_until_counted()
        assert not any(sender.retried for sender in senders)
        _check(server, senders)


def _sending(server: ServerProcess, stop: threading.Event, *, known_again: bool = True) -> list[Sender]:
    senders = [Sender(number, server.url, stop, known_again=known_again) for number in range(SENDERS)]
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
