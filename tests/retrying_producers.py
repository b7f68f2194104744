"""Producers that retry, give up and repeat while a server is killed, and the proof that acked events count once."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from tests.server_process import KEY, ServerProcess, wait_until

PRODUCERS = 3
BATCH = 40


def _event(key: str, customer: str, value: str, now: datetime) -> dict[str, Any]:
    return {
        "event_name": "api.request",
        "idempotency_key": key,
        "customer_id": customer,
        "timestamp": now.isoformat(),
        "properties": {"tokens": value, "user": key[-2:]},
    }


class Producer(threading.Thread):
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
            _event(
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


class Producers:
    """Three producers that post `tokens` until they are stopped."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._stop = threading.Event()
        self._producers = [Producer(number, server.url, self._stop) for number in range(PRODUCERS)]

    @contextmanager
    def posting(self) -> Iterator[None]:
        """Starts them, and stops them at the end."""
        for producer in self._producers:
            producer.start()
        try:
            yield
        finally:
            self._stop.set()
            for producer in self._producers:
                producer.join()

    @property
    def acked(self) -> int:
        """How many events were acked."""
        return sum(len(producer.acked) for producer in self._producers)

    @property
    def retried(self) -> int:
        """How many batches were acked at a second attempt or later."""
        return sum(producer.retried for producer in self._producers)

    @property
    def have_given_up(self) -> bool:
        """True if a batch was abandoned without an answer."""
        return any(producer.abandoned for producer in self._producers)

    def wait_for_progress(self) -> None:
        """Returns when an event was acked since the call."""
        acked = self.acked
        wait_until("some progress", lambda: self.acked > acked)

    def wait_for_repeats(self, enough: int) -> None:
        """Returns when so many acked batches were repeated; without repeats nothing would be proved."""
        wait_until("enough repeats", lambda: sum(producer.repeated for producer in self._producers) >= enough)
        wait_until("a repeat to be answered as duplicates", lambda: any(p.recognised for p in self._producers))

    def assert_exact(self) -> None:
        """After they have stopped: waits until all is counted, and compares usage, raw events and acked events."""
        server = self._server
        server.wait_until_counted()
        assert [failure for producer in self._producers for failure in producer.failures] == []
        acked = {key: event for producer in self._producers for key, event in producer.acked.items()}
        possible = acked | {key: event for producer in self._producers for key, event in producer.abandoned.items()}
        keys = Counter(event["idempotency_key"] for event in server.events())
        assert [key for key, times in keys.items() if times != 1] == []
        assert set(acked) - set(keys) == set()
        assert set(keys) - set(possible) == set()
        # One batch is one durable write, acked or not: all of it is stored, or nothing.
        batches = [batch for producer in self._producers for batch in producer.batches]
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
