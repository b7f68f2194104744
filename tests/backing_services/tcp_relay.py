"""A connection between a client and its store that can delay requests and lose responses."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from stream_processors.backends.sql.clickhouse_http import ServerAddress

CHUNK = 1 << 16


class Relay:
    """Listens on a port of its own, and forwards everything to the store."""

    def __init__(self, store: ServerAddress, renamed: tuple[str, str] = ("", "")) -> None:
        """Replaces the first name by the second in requests; both have the same length."""
        self._store = store
        self._said, self._meant = (name.encode() for name in renamed)
        assert len(self._said) == len(self._meant)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.may_send = threading.Event()
        """While cleared, requests are held back, even after their client has disconnected."""
        self.may_answer = threading.Event()
        """While cleared, the connection breaks when the store answers."""
        self.held = threading.Event()
        """Set while a request is held back."""
        self.connections = 0
        """The number of connections so far."""
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
        with client, suppress(OSError):  # either end may disconnect at any moment, which is what tests provoke
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
