"""Producers that post every batch three times, to different gateways, and do not always wait for the answer."""

import json
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import NamedTuple

import msgspec

from tallyhouse.load.target import parse_target
from tests.server_process import KEY, GatewayClient

SENDERS = 12
CUSTOMERS = 7
INGEST = "/v1/events/ingest"


class Sending(NamedTuple):
    """One post of a batch."""

    batch: int
    gateway: int
    awaits_response: bool
    """False if the producer disconnects before the answer."""


class RetriedBatch(msgspec.Struct, frozen=True):
    """A batch of events, and their sums."""

    number: int
    size: int
    now: str

    def events(self) -> list[dict[str, object]]:
        return [self._event(place) for place in range(self.size)]

    def body(self) -> bytes:
        return json.dumps({"events": self.events()}).encode()

    def sums(self) -> Counter[str]:
        """Tokens by customer, in hundredths."""
        sums: Counter[str] = Counter()
        for place in range(self.size):
            sums[self._customer(place)] += self._hundredths(place)
        return sums

    def _event(self, place: int) -> dict[str, object]:
        return {
            "event_name": "api.request",
            "idempotency_key": f"{self.number}-{place}",
            "customer_id": self._customer(place),
            "timestamp": self.now,
            "properties": {"tokens": str(Decimal(self._hundredths(place)) / 100)},
        }

    def _customer(self, place: int) -> str:
        return f"customer_{(self.number + place) % CUSTOMERS}"

    def _hundredths(self, place: int) -> int:
        return (self.number * 37 + place) % 1000 + 1


def new_batch(number: int, size: int) -> RetriedBatch:
    """A batch with the current time as timestamp."""
    return RetriedBatch(number, size, datetime.now(UTC).isoformat())


def three_times(count: int, gateways: int, chance: Random) -> list[Sending]:
    """Three posts of each batch, to two gateways or more, in any order.

    Every third batch has only one post that awaits its answer.
    """
    sendings: list[Sending] = []
    for batch in range(count):
        first, second = chance.sample(range(gateways), 2)
        is_heard = batch % 3 != 0
        sendings += [
            Sending(batch, first, True),
            Sending(batch, second, is_heard),
            Sending(batch, chance.randrange(gateways), is_heard),
        ]
    chance.shuffle(sendings)
    return sendings


def send_all(
    gateways: Sequence[GatewayClient], bodies: Sequence[bytes], sendings: Iterable[Sending]
) -> list[dict[str, int]]:
    """Posts concurrently; returns the awaited answers, each of which must be a 200."""

    def send(sending: Sending) -> dict[str, int] | None:
        gateway, body = gateways[sending.gateway], bodies[sending.batch]
        if not sending.awaits_response:
            hang_up(gateway.url, body)
            return None
        answer = gateway.client.post(INGEST, content=body)
        assert answer.status_code == 200, answer.text
        response: dict[str, int] = answer.json()
        return response

    with ThreadPoolExecutor(SENDERS) as senders:
        return [response for response in senders.map(send, sendings) if response is not None]


def hang_up(url: str, body: bytes) -> None:
    """Posts the whole body and disconnects before the answer."""
    target = parse_target(url, KEY)
    with socket.create_connection((target.host, target.port)) as connection:
        connection.sendall(b"%b%d\r\n\r\n%b" % (target.head, len(body), body))
