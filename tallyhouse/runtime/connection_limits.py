"""What an HTTP server spends on callers it does not know: the limits, and the table of open connections.

When a limit of connections is reached, a new connection displaces the oldest one that waits: before, between or after
its requests. So a thousand half-sent requests do not shut out an ordinary client, whose connection waits only for a
moment. A connection whose request is being answered is never displaced; if all are, the new one is answered 503.
"""

import asyncio
import resource
import socket
from collections.abc import Iterable
from typing import Protocol

import msgspec

from schemas.errors import Busy

_SPARE_DESCRIPTORS = 128
"""File descriptors for all but connections: files of the log and the ledger, pools, and what is being refused."""
_MAX_REFUSED = 32
"""Connections beyond the limit that may wait for their 503 at a time."""
_IPV6_NETWORK_BYTES = 8
"""One customer of an IPv6 provider has a whole /64 of addresses."""
_IPV4_IN_IPV6 = bytes(10) + b"\xff\xff"
_SWEEPS = 4
"""Sweeps in the shortest timeout: how exact the timeouts are."""
_LONGEST_SWEEP_SECONDS = 1.0


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one server; each holds before a key has been looked at."""

    connections: int = 4000
    connections_per_address: int = 1000
    stall_seconds: float = 20.0
    """How long headers may take, how long a body may pause, and how long a response may find no reader."""
    keep_alive_seconds: float = 75.0
    # Seven times the headers of a browser, and room for a query that lists hundreds of customers.
    header_bytes: int = 32 * 1024
    header_count: int = 100
    url_bytes: int = 16 * 1024
    queued_requests: int = 64
    """Requests that one connection may send ahead of the responses."""


class TimedConnection(Protocol):
    """A connection, as the table sees it."""

    @property
    def deadline(self) -> float:
        """When the connection must have got further, by the event loop's clock."""
        ...

    @property
    def is_waiting(self) -> bool:
        """True while no request of the connection is being answered."""
        ...

    def expire(self, now: float) -> None:
        """Ends the connection, or grants it another deadline."""
        ...

    def abort(self) -> None:
        """Closes the connection at once, with nothing more sent."""
        ...


class ConnectionTable:
    """The open connections of one server. Used from one event loop only."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._addresses: dict[TimedConnection, bytes] = {}
        self._by_address: dict[bytes, dict[TimedConnection, None]] = {}
        self._refused: dict[TimedConnection, None] = {}
        self._sweep_seconds = min(
            _LONGEST_SWEEP_SECONDS, limits.stall_seconds / _SWEEPS, limits.keep_alive_seconds / _SWEEPS
        )
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._addresses)

    def admit(self, connection: TimedConnection, host: str) -> Busy | None:
        """Adds the connection, and closes one that waits if a limit is reached. Returns the answer to a refused one."""
        address = network_of(host)
        full = self._full_for(address)
        if full is not None:
            reason, candidates = full
            displaced = _oldest_waiting(candidates)
            if displaced is None:
                self._refuse(connection)
                return Busy(f"{reason}, and all of them have requests in progress; retry in a moment")
            self.remove(displaced)
            displaced.abort()
        self._addresses[connection] = address
        self._by_address.setdefault(address, {})[connection] = None
        self._sweep_later()
        return None

    def remove(self, connection: TimedConnection) -> None:
        """Forgets a connection; one that is not in the table changes nothing."""
        self._refused.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            neighbours = self._by_address[address]
            del neighbours[connection]
            if not neighbours:
                del self._by_address[address]

    def sweep(self, now: float) -> None:
        """Expires the connections whose deadline has passed."""
        for connection in [*self._addresses, *self._refused]:
            if connection.deadline <= now:
                connection.expire(now)

    def _full_for(self, address: bytes) -> tuple[str, Iterable[TimedConnection]] | None:
        """The limit that one more connection would break, and the connections that may be displaced for it."""
        limits, own = self._limits, self._by_address.get(address, {})
        if len(own) >= limits.connections_per_address:
            return f"your address has {len(own)} open connections, its limit", own
        if len(self._addresses) >= limits.connections:
            # The address with the most connections gives first.
            largest = max(self._by_address.values(), key=len)
            candidates = largest if any(one.is_waiting for one in largest) else self._addresses
            return f"this process has {len(self._addresses)} open connections, its limit", candidates
        return None

    def _refuse(self, connection: TimedConnection) -> None:
        if len(self._refused) >= _MAX_REFUSED:
            oldest = next(iter(self._refused))
            self.remove(oldest)
            oldest.abort()
        self._refused[connection] = None
        self._sweep_later()

    def _sweep_later(self) -> None:
        # One timer for all connections, because setting one for each request would cost as much as parsing its headers.
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._sweep_seconds, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweeping = None
        self.sweep(asyncio.get_running_loop().time())
        if self._addresses or self._refused:
            self._sweep_later()


def _oldest_waiting(connections: Iterable[TimedConnection]) -> TimedConnection | None:
    # The one whose deadline is next: half-sent requests have a shorter one than connections between two requests.
    waiting = (connection for connection in connections if connection.is_waiting)
    return min(waiting, key=lambda connection: connection.deadline, default=None)


def network_of(host: str) -> bytes:
    """Whom an address belongs to: an IPv4 address to itself, an IPv6 address to its /64."""
    try:
        address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except OSError:
        return host.encode()
    if address.startswith(_IPV4_IN_IPV6):
        return socket.inet_ntop(socket.AF_INET, address[len(_IPV4_IN_IPV6) :]).encode()
    return address[:_IPV6_NETWORK_BYTES]


def affordable_connections(wanted: int) -> int:
    """Returns how many connections the limit of open files allows, up to `wanted`; raises the soft limit if it can."""
    needed = wanted + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - _SPARE_DESCRIPTORS))
