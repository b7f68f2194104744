"""Delivers posts over several connections, and retries each body until it is acked."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec

from schemas.errors import Overloaded, Refused
from tallyhouse.load.connection import LOST, Connection, HttpReply
from tallyhouse.load.latency import Latencies
from tallyhouse.load.post_generator import Post, PostGenerator
from tallyhouse.load.target import Target

_RETRYABLE = {LOST, 429, 502, 503, 504}
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


class DeliveryOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The connections, rate and timeout of a run."""

    connections: int = 4
    rate: float | None = None
    """Events per second; None for as fast as possible."""
    timeout: float = 60.0
    """Seconds after which a body without an ack ends the run."""


class LoadStats:
    """Counts of events, retried posts, and latencies of a run so far."""

    def __init__(self) -> None:
        self.sent = 0
        self.acked = 0
        self.duplicates = 0
        self.retries = 0
        self.latencies = Latencies()


class IngestReply(msgspec.Struct):
    """The counted part of a reply: the counts of a batch, the status of a single event."""

    accepted: int = 0
    duplicates: int = 0
    rejected: list[msgspec.Raw] = []
    status: str = ""


_decode = msgspec.json.Decoder(IngestReply).decode


class LoadClient:
    """Runs once. Connections are spread over the targets; a lost connection is replaced by one to the next target."""

    def __init__(
        self, targets: Sequence[Target], generator: PostGenerator, options: DeliveryOptions, clock: Callable[[], float]
    ) -> None:
        self.stats = LoadStats()
        self._targets = itertools.cycle(targets)
        self._posts = generator.posts()
        self._options = options
        self._clock = clock
        self._slot = 0.0

    async def run(self) -> None:
        """Delivers all posts. Raises Refused for a rejected event, and Overloaded for a post not acked in time."""
        self._slot = self._clock()
        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(self._options.connections):
                    lanes.create_task(self._lane(self._posts))
        except* (Refused, Overloaded) as failures:
            raise failures.exceptions[0] from None

    async def _lane(self, posts: Iterator[Post]) -> None:
        connection = await self._connect()
        for post in posts:
            began = await self._wait_for_slot(post.events)
            self.stats.sent += post.events
            connection = await self._deliver(connection, post)
            self.stats.latencies.add(self._clock() - began)
        connection.close()

    async def _wait_for_slot(self, events: int) -> float:
        """Waits for the post's slot at the configured rate; returns the time of the slot."""
        now = self._clock()
        if self._options.rate is None:
            return now
        self._slot = max(self._slot, now - _LONGEST_PAUSE)
        slot, self._slot = self._slot, self._slot + events / self._options.rate
        if slot > now:
            await asyncio.sleep(slot - now)
        return slot

    async def _deliver(self, connection: Connection, post: Post) -> Connection:
        """Posts until the body is acked; returns the open connection, which may be a new one."""
        pause = _FIRST_PAUSE
        deadline = self._clock() + self._options.timeout
        while (answer := await connection.post(post.body)).status in _RETRYABLE:
            if self._clock() > deadline:
                raise Overloaded(f"not acked within {self._options.timeout:.0f} s: {_explain(answer)}")
            self.stats.retries += 1
            await asyncio.sleep(max(pause, answer.retry_after))
            pause = min(2 * pause, _LONGEST_PAUSE)
            if answer.status == LOST:
                connection = await self._connect()
        self._record(answer, post)
        return connection

    async def _connect(self) -> Connection:
        """A connection to the next target. If that refuses, the connection is lost and its first post is retried."""
        target = next(self._targets)
        connection = Connection(target)
        with suppress(OSError):
            await asyncio.get_running_loop().create_connection(lambda: connection, target.host, target.port)
        return connection

    def _record(self, answer: HttpReply, post: Post) -> None:
        if answer.status != 200:
            raise Refused(f"a post of {post.events} events was answered with {_explain(answer)}")
        reply = _decode(answer.body)
        if reply.rejected:
            raise Refused(
                f"{len(reply.rejected)} of {post.events} valid events were refused: {bytes(reply.rejected[0])!r}"
            )
        self.stats.acked += post.events
        self.stats.duplicates += reply.duplicates + (reply.status == "duplicate")


def _explain(answer: HttpReply) -> str:
    if answer.status == LOST:
        return "a lost connection"
    return f"{answer.status}: {answer.body[:300].decode(errors='replace')}"
