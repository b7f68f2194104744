"""A process that starts waits for its servers, even if one of them fails halfway."""

import socket

import pytest

from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tests.backing_services.tcp_relay import CHUNK, Relay
from tests.tallyhouse.cluster.installation import Installation

QUERY = b"FROM seen"
"""One of the last queries of a gateway's start."""
TIMES = 4


class BreakingRelay(Relay):
    """Closes the connection at the first few queries of this kind."""

    def __init__(self, store: ServerAddress) -> None:
        super().__init__(store)
        self.broken = 0

    def _send(self, client: socket.socket, store: socket.socket) -> None:
        while data := client.recv(CHUNK):
            if QUERY in data and self.broken < TIMES:
                self.broken += 1
                client.shutdown(socket.SHUT_RDWR)
                return
            store.sendall(data)


@pytest.mark.long
def test_a_start_waits_for_a_store_that_fails_halfway(installation: Installation, store_address: ServerAddress) -> None:
    """The store has answered before; the start continues once it answers again."""
    installation.prepare()
    with BreakingRelay(store_address) as relay:
        url = f"http://127.0.0.1:{relay.address.port}"
        with installation.gateway(CLICKHOUSE_URL=url) as gateway:
            assert relay.broken == TIMES
            assert "waiting for a server that this process needs" in gateway.output()
