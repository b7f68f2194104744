"""A client that writes bytes as it likes and reads what the server answers, even while it still sends."""

import json
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

PIECE = 1 << 16
PATIENCE = 60.0
MEBIBYTE = 1 << 20


class Answer(NamedTuple):
    """One response, or what of it arrived."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error of the envelope."""
        document = json.loads(self.body)
        assert document["success"] is False, document
        assert document["request_id"] == self.headers["x-request-id"]
        error: dict[str, Any] = document["error"]
        return error


class RawConnection:
    """A connection without a client library in between."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def flood(self, piece: bytes, times: int) -> int:
        """Sends the piece so often, or until the server closes the connection. Returns the bytes sent."""
        sent = 0
        with suppress(ConnectionError):
            for _ in range(times):
                self.socket.sendall(piece)
                sent += len(piece)
        return sent

    def answer(self, *, to_head: bool = False) -> Answer | None:
        """Reads the next response; None if the server has closed the connection without one."""
        while b"\r\n\r\n" not in self._unread:
            if not self._receive():
                assert self._unread == b"", self._unread
                return None
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if to_head else int(headers.get("content-length", "0"))
        while len(self._unread) < length:
            assert self._receive(), "the body of the response is cut off"
        body, self._unread = self._unread[:length], self._unread[length:]
        return Answer(int(first.split()[1]), headers, body)

    def shut(self) -> None:
        """Says that nothing more will be sent."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def closed(self) -> bool:
        """Waits until the server closes the connection; False if it sends something first."""
        return self._unread == b"" and not self._receive()

    def _receive(self) -> bool:
        try:
            received = self.socket.recv(PIECE)
        except ConnectionError:
            return False
        self._unread += received
        return bool(received)


class FloodWhileReading:
    """Sends in a thread, so that the answer is read only after everything was sent, or while it is."""

    def __init__(self, connection: RawConnection, piece: bytes, times: int) -> None:
        self._thread = threading.Thread(target=connection.flood, args=(piece, times))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.join()


def head(method: str, target: str, *lines: str) -> bytes:
    """The head of a request, complete."""
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def resident_bytes(pid: int, field: str = "VmRSS") -> int:
    """The resident memory of a process: now, or at its peak (`VmHWM`)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def forget_peak(pid: int) -> None:
    """Sets the peak (`VmHWM`) to what the process uses now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def chunked(pieces: Iterable[bytes], trailers: str = "") -> bytes:
    """A chunked body with trailers."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n" + trailers.encode() + b"\r\n"
