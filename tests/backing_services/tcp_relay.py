"""A wire between a client and its store that can hold back what is sent, and lose what is answered."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from stream_processors.backends.sql.clickhouse_http import ServerAddress

CHUNK = 1 << 16


class Relay:
    """Listens on a port of its own, and passes everything on."""

    def __init__(self, store: ServerAddress, renamed: tuple[str, str] = ("", "")) -> None:
        """Whoever says the one name over it means the other, which is as long."""
        self._store = store
        self._said, self._meant = (name.encode() for name in renamed)
        assert len(self._said) == len(self._meant)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.may_send = threading.Event()
        """Cleared: what clients send stays on the wire, even when they have hung up."""
        self.may_answer = threading.Event()
        """Cleared: the wire breaks where the store answers."""
        self.held = threading.Event()
        """Something is being held back."""
        self.connections = 0
        """How many clients have made so far."""
        self.may_send.set()
        self.may_answer.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.may_send.set()

    @property
    def address(self) -> ServerAddress:
        return ServerAddress(host="127.0.0.1", port=self._listener.getsockname()[1])

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            store = socket.create_connection((self._store.host, self._store.port))
            for way in (self._send, self._answer):
                threading.Thread(target=self._run, args=(way, client, store), daemon=True).start()

    def _run(
        self, way: Callable[[socket.socket, socket.socket], None], client: socket.socket, store: socket.socket
    ) -> None:
        with client, suppress(OSError):  # Either end may hang up at any moment: that is what is tried here.
            way(client, store)

    def _send(self, client: socket.socket, store: socket.socket) -> None:
        while data := client.recv(CHUNK):
            if not self.may_send.is_set():
                self.held.set()
            self.may_send.wait()
            store.sendall(data.replace(self._said, self._meant) if self._said else data)

    def _answer(self, client: socket.socket, store: socket.socket) -> None:
        with store:
            while data := store.recv(CHUNK):
                if not self.may_answer.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
