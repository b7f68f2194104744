"""Tallyhouse's own programs as services of a local cluster: commands, ports, environment and readiness."""

from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tallyhouse.local.background_program import BackgroundProgram
from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.local.kafka_node import HOST, free_port
from tallyhouse.local.local_server import LocalServer
from tallyhouse.runtime.child_process import module_command
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.http_server import open_listener
from tallyhouse.runtime.settings import PREFIX

_OURS = ("KAFKA_", "CLICKHOUSE_", "LEDGER_URL", "WORKER_GROUP", "GATEWAY_WORKERS")
"""Settings of other servers, which a local cluster ignores."""

_SINGLE = {"KAFKA_REPLICATION": "1", "KAFKA_MIN_INSYNC": "1"}


def cluster_environment(environ: Mapping[str, str], *, brokers: str, clickhouse: str, ledger: str) -> Mapping[str, str]:
    """The environment shared by all processes of the cluster."""
    ours = tuple(f"{PREFIX}{name}" for name in _OURS)
    yours = {name: value for name, value in environ.items() if not name.startswith(ours)}
    overrides = {"KAFKA_BROKERS": brokers, "CLICKHOUSE_URL": clickhouse, "LEDGER_URL": ledger, **_SINGLE}
    return yours | {f"{PREFIX}{name}": value for name, value in overrides.items()}


def child_environment(environ: Mapping[str, str], **overrides: object) -> Mapping[str, str]:
    """The environment of one process, with its own settings."""
    return {**environ, **{f"{PREFIX}{name}": str(value) for name, value in overrides.items()}}


_ANSWER_SECONDS = 5
_READY = 200


class HttpService(LocalServer):
    """A server with an HTTP readiness check, restarted with the same command, environment and address."""

    def __init__(
        self, name: str, folder: Path, log: Path, *, command: Sequence[str], environ: Mapping[str, str], ready: str
    ) -> None:
        """`ready` is the URL that answers 200 once the server serves."""
        super().__init__(name, BackgroundProgram(folder, log=log))
        self._command = command
        self._environ = environ
        self._ready = ready

    def _start_program(self) -> None:
        self._launch(self._command, self._environ)

    def _is_serving(self) -> bool:
        return http_get(self._ready) is not None


def http_get(url: str) -> str | None:
    """The body of a 200 answer; None for any other answer, or without one."""
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


def usage_store(folder: ClusterFolder, port: int, environ: Mapping[str, str]) -> HttpService:
    """The usage store: ClickHouse's HTTP interface over chDB."""
    return HttpService(
        "usage store",
        folder.store,
        folder.log_of("store"),
        command=module_command("stream_processors.clickhouse_server", "--path", folder.store, "--port", port),
        environ=environ,
        ready=f"http://{HOST}:{port}/ping",
    )


def gateway(folder: ClusterFolder, environ: Mapping[str, str], number: int, url: str) -> HttpService:
    """The gateway with this number, from 1, at this address."""
    return _process(folder, child_environment(environ, PORT=_port_of(url)), "gateway", number, url)


def worker(folder: ClusterFolder, environ: Mapping[str, str], number: int, url: str) -> HttpService:
    """The worker with this number, from 1, with its health and metrics at this address."""
    return _process(folder, child_environment(environ, METRICS_PORT=_port_of(url)), "worker", number, url)


def choose_urls(settings: ClusterSettings, first: int, setting: str, count: int, rng: Random) -> Sequence[str]:
    """URLs with ports from `first` on, or with any free ports if it is 0. Raises Misconfigured if a port is taken."""
    ports = range(first, first + count) if first else [free_port(rng) for _ in range(count)]
    for port in ports:
        with open_listener(settings.host, port, setting):
            pass
    return [settings.url_at(port) for port in ports]


def _process(folder: ClusterFolder, environ: Mapping[str, str], kind: str, number: int, url: str) -> HttpService:
    name = f"{kind}-{number}"
    return HttpService(
        f"{kind} {number}",
        folder.process_folder(name),
        folder.log_of(name),
        command=module_command("tallyhouse", kind),
        environ=environ,
        # Not /readyz: a worker with a partition stopped by an alarm runs, and must not be restarted over and over.
        ready=f"{url}/healthz",
    )


def _port_of(url: str) -> int | None:
    return urlsplit(url).port
