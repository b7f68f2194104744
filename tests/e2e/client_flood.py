"""Many concurrent clients that post as fast as they can, and retry soon after a refusal."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tallyhouse.load.connection import Connection
from tallyhouse.load.target import Target, parse_target
from tests.server_process import KEY

_PLACE = b"BATCHNUMBER"


class ClientKind(NamedTuple):
    """A number of clients that post bodies of one shape."""

    clients: int
    events: int
    padding: int
    """Characters of padding in each event."""

    def body(self) -> bytes:
        """One body, with a placeholder for the batch number in every key."""
        now = datetime.now(UTC).isoformat()
        return json.dumps({"events": [self._event(place, now) for place in range(self.events)]}).encode()

    def _event(self, place: int, now: str) -> dict[str, Any]:
        properties = {"tokens": "0.5", "ballast": "x" * self.padding}
        return {
            "event_name": "api.request",
            "idempotency_key": f"{_PLACE.decode()}-{place}",
            "customer_id": f"customer_{place % 5}",
            "timestamp": now,
            "properties": properties,
        }


class Refusal(NamedTuple):
    """One refusal: when it came, how long it took, and what it said."""

    at: float
    seconds: float
    status: int
    retry_after: float
    code: str
    """The error code, if the envelope is complete."""


class ClientFlood:
    """Counts acknowledged events and records every refusal. A refused client pauses before its next attempt."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic, rest: float = 0.0) -> None:
        self._target: Target = parse_target(url, KEY)
        self._clock = clock
        self._rest = rest
        self._numbers: Iterator[int] = itertools.count()
        self.acked = 0
        self.refused: list[Refusal] = []
        self.failures: Counter[str] = Counter()

    async def run(self, kinds: list[ClientKind], stop: asyncio.Event) -> None:
        """Posts until `stop`, and then until every client's last body is acknowledged."""
        async with asyncio.TaskGroup() as clients:
            for kind in kinds:
                template = kind.body()
                for _ in range(kind.clients):
                    clients.create_task(self._client(kind, template, stop))

    async def _client(self, kind: ClientKind, template: bytes, stop: asyncio.Event) -> None:
        connection = await self._connect()
        while not stop.is_set():
            body = template.replace(_PLACE, b"batch%d" % next(self._numbers))
            connection = await self._deliver(connection, body, kind.events)
        connection.close()

    async def _deliver(self, connection: Connection, body: bytes, events: int) -> Connection:
        while True:
            began = self._clock()
            answer = await connection.post(body)
            if answer.status == 200:
                self._count(answer.body, events)
                return connection
            now = self._clock()
            self.refused.append(Refusal(now, now - began, answer.status, answer.retry_after, code_of(answer.body)))
            await asyncio.sleep(self._rest)
            if not connection.is_open:
                connection = await self._connect()

    def _count(self, answer: bytes, events: int) -> None:
        verdicts = json.loads(answer)
        self.acked += events
        if verdicts["accepted"] + verdicts["duplicates"] != events:
            self.failures[answer.decode()] += 1

    async def _connect(self) -> Connection:
        connection = Connection(self._target)
        await asyncio.get_running_loop().create_connection(lambda: connection, self._target.host, self._target.port)
        return connection


def code_of(body: bytes) -> str:
    """The code in an error's envelope; None if a part of the envelope is missing."""
    match json.loads(body or b"{}"):
        case {"success": False, "error": {"code": str(code), "message": str()}, "request_id": str()}:
            return code
        case _:
            return ""
