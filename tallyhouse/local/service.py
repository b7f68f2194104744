"""One of our own programs as a server of this machine, known by the address that tells whether it is ready."""

from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tallyhouse.local.background_program import BackgroundProgram
from tallyhouse.local.local_server import LocalServer

_ANSWER_SECONDS = 5
_READY = 200


class HttpService(LocalServer):
    """Its command and environment stay the same over restarts, and so does its address."""

    def __init__(
        self, name: str, folder: Path, log: Path, *, command: Sequence[str], environ: Mapping[str, str], ready: str
    ) -> None:
        """`ready` is the URL that answers 200 once it serves."""
        super().__init__(name, BackgroundProgram(folder, log=log))
        self._command = command
        self._environ = environ
        self._ready = ready

    def _start_program(self) -> None:
        self._launch(self._command, self._environ)

    def _is_serving(self) -> bool:
        return http_get(self._ready) is not None


def http_get(url: str) -> str | None:
    """What is answered there; nothing where nobody answers, or not with a good answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == _READY else None
