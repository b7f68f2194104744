"""What runs in a cluster on this machine: three servers, and our own processes."""

from collections.abc import Mapping, Sequence
from random import Random
from urllib.parse import urlsplit

from tallyhouse.local.cluster_folder import ClusterFolder
from tallyhouse.local.kafka_node import HOST, free_port
from tallyhouse.local.service import HttpService
from tallyhouse.local.surroundings import child_environment
from tallyhouse.runtime.cluster_settings import ClusterSettings
from tallyhouse.runtime.http_server import open_listener
from tallyhouse.runtime.supervisor import module_command


def usage_store(folder: ClusterFolder, port: int, environ: Mapping[str, str]) -> HttpService:
    """ClickHouse's HTTP interface over chDB."""
    return HttpService(
        "usage store",
        folder.store,
        folder.log_of("store"),
        command=module_command("stream_processors.clickhouse_server", "--path", folder.store, "--port", port),
        environ=environ,
        ready=f"http://{HOST}:{port}/ping",
    )


def gateway(folder: ClusterFolder, environ: Mapping[str, str], number: int, url: str) -> HttpService:
    """Number 1, 2, … at this address."""
    return _process(folder, child_environment(environ, PORT=_port_of(url)), "gateway", number, url)


def worker(folder: ClusterFolder, environ: Mapping[str, str], number: int, url: str) -> HttpService:
    """Number 1, 2, … with its health and numbers at this address."""
    return _process(folder, child_environment(environ, METRICS_PORT=_port_of(url)), "worker", number, url)


def choose_urls(settings: ClusterSettings, first: int, setting: str, count: int, rng: Random) -> Sequence[str]:
    """Ports from the first one on, or any that are free where that is 0. Raises Misconfigured for one that is taken."""
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
        # Not whether it is ready: one whose partition an alarm has stopped runs, and must not be started over and over.
        ready=f"{url}/healthz",
    )


def _port_of(url: str) -> int | None:
    return urlsplit(url).port
