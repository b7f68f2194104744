"""A start waits for whom it needs, also when they go away in the middle of it."""

import socket

from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tests.backing_services.tcp_relay import CHUNK, Relay
from tests.tallyhouse.cluster.installation import Installation

QUESTION = b"FROM seen"
"""Among the last that a gateway asks at its start."""
TIMES = 4


class Breaking(Relay):
    """Hangs up on whoever asks a question, the first few times."""

    def __init__(self, store: ServerAddress) -> None:
        super().__init__(store)
        self.broken = 0

    def _send(self, client: socket.socket, store: socket.socket) -> None:
        while data := client.recv(CHUNK):
            if QUESTION in data and self.broken < TIMES:
                self.broken += 1
                client.shutdown(socket.SHUT_RDWR)
                return
            store.sendall(data)


def test_a_store_that_goes_away_during_a_start_is_waited_for(
    installation: Installation, store_address: ServerAddress
) -> None:
    """It had answered already; the gateway goes on where it was once it is back."""
    installation.prepare()
    with Breaking(store_address) as relay:
        url = f"http://127.0.0.1:{relay.address.port}"
        with installation.gateway(CLICKHOUSE_URL=url) as gateway:
            assert relay.broken == TIMES
            assert "waiting for a server that this process needs" in gateway.output()
