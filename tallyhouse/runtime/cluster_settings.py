"""The settings of cluster mode, each declared once. One environment serves all processes of a cluster."""

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from schemas.env import Setting, SettingType, boolean, duration, one_of, text, whole_number
from schemas.errors import Misconfigured
from schemas.timestamps import DAY, MINUTE
from tallyhouse.runtime.settings import API_KEY, ServiceSettings

_BROKER = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)


def _brokers(written: str) -> tuple[str, ...]:
    brokers = tuple(broker.strip() for broker in written.split(","))
    if not all(map(_BROKER.fullmatch, brokers)):
        raise ValueError(written)
    return brokers


def _address(is_valid: Callable[[SplitResult], object]) -> Callable[[str], bool]:
    def accepts(written: str) -> bool:
        return bool(is_valid(urlsplit(written)))

    return accepts


def _is_clickhouse(url: SplitResult) -> bool:
    return url.scheme in ("http", "https") and bool(url.hostname) and url.username is None and url.path in ("", "/")


def _servers(written: str) -> tuple[str, ...]:
    servers = tuple(server.strip() for server in written.split(","))
    if not all(map(_address(_is_clickhouse), servers)):
        raise ValueError(written)
    return servers


def _is_ledger(url: SplitResult) -> bool:
    if url.scheme == "sqlite":
        return not url.netloc and len(url.path) > 1
    return url.scheme in ("postgresql", "postgresql+psycopg") and len(url.path) > 1


def _is_redis(url: SplitResult) -> bool:
    return url.scheme in ("redis", "rediss") and bool(url.hostname)


_BROKERS: SettingType[tuple[str, ...]] = SettingType(
    "host:port, or several of them with commas between", _brokers, ",".join
)
_TOPIC_NAME = text("a topic's name of letters, digits, dots, dashes and underscores", _TOPIC.fullmatch)
_SQL_NAME = text("a name of letters, digits and underscores", _NAME.fullmatch)
_CLICKHOUSE: SettingType[tuple[str, ...]] = SettingType(
    "an address such as http://clickhouse:8123, without user and password, or one for each shard with commas between",
    _servers,
    ",".join,
)
_FILE: SettingType[Path] = SettingType("a file", Path)
_REDIS = text("an address such as redis://redis:6379/0", _address(_is_redis))
_LEDGER = text(
    "an address such as postgresql://user:password@host/database or sqlite:////path/ledger.sqlite",
    _address(_is_ledger),
)


class Sasl(StrEnum):
    """SASL mechanisms of a broker."""

    PLAIN = "PLAIN"
    SCRAM_256 = "SCRAM-SHA-256"
    SCRAM_512 = "SCRAM-SHA-512"


class ClusterSettings(ServiceSettings, frozen=True, kw_only=True):
    """The settings of `tallyhouse gateway`, `worker`, `migrate`, `topics` and `keys bootstrap`."""

    kafka_brokers: Annotated[tuple[str, ...], Setting(_BROKERS, "Kafka brokers for the first connection.")]
    clickhouse_url: Annotated[
        tuple[str, ...],
        Setting(
            _CLICKHOUSE,
            "The usage store's HTTP interface. For several shards, one address for each shard, in an order that never "
            "changes.",
        ),
    ]
    ledger_url: Annotated[
        str,
        Setting(_LEDGER, "The ledger's database. SQLite only where all processes run on one machine.", secret=True),
    ]
    bootstrap_api_key: Annotated[
        str | None,
        Setting(API_KEY, "Admin key that `tallyhouse migrate` installs in a ledger without keys.", secret=True),
    ] = None
    partitions: Annotated[
        int,
        Setting(
            whole_number(1, 1024),
            "Partitions of the topic; fixed for the life of the data. Choose more partitions than workers.",
        ),
    ] = 12
    kafka_topic: Annotated[str, Setting(_TOPIC_NAME, "The topic that is the log.")] = "tallyhouse-frames"
    kafka_replication: Annotated[int, Setting(whole_number(1, 15), "Copies of each partition.")] = 3
    kafka_min_insync: Annotated[
        int, Setting(whole_number(1, 15), "Copies that must have a frame before its events are answered `accepted`.")
    ] = 2
    kafka_retention: Annotated[
        int,
        Setting(
            duration(60 * MINUTE, 3650 * DAY),
            "How long the topic keeps frames, counted or not. Must exceed any outage of the workers: a frame deleted "
            "before it is counted is lost.",
        ),
    ] = 7 * DAY
    kafka_tls: Annotated[bool, Setting(boolean(), "Whether connections to the brokers use TLS.")] = False
    kafka_ca_file: Annotated[
        Path | None, Setting(_FILE, "Certificate authorities to trust; without it, those of the machine.")
    ] = None
    kafka_sasl: Annotated[
        Sasl | None,
        Setting(one_of(Sasl), "SASL mechanism of the brokers; without it, connections are not authenticated."),
    ] = None
    kafka_user: Annotated[str | None, Setting(text("a user's name"), "User of the brokers.")] = None
    kafka_password: Annotated[str | None, Setting(text("a password"), "Password of the Kafka user.", secret=True)] = (
        None
    )
    clickhouse_user: Annotated[str, Setting(text("a user's name"), "User of the usage store.")] = "default"
    clickhouse_password: Annotated[
        str | None, Setting(text("a password"), "Password of the store's user.", secret=True)
    ] = None
    clickhouse_database: Annotated[str, Setting(_SQL_NAME, "The usage store's database.")] = "tallyhouse"
    clickhouse_cluster: Annotated[
        str | None,
        Setting(
            _SQL_NAME,
            "The cluster's name in the servers' remote_servers; without it there is one server and one shard.",
        ),
    ] = None
    redis_url: Annotated[
        str | None,
        Setting(
            _REDIS,
            "Redis in which gateways share known keys, so that a retry at another gateway is answered `duplicate`. "
            "Exactness does not depend on it.",
            secret=True,
        ),
    ] = None
    worker_group: Annotated[
        str, Setting(_TOPIC_NAME, "The consumer group in which the workers share the partitions.")
    ] = "tallyhouse-workers"
    gateway_workers: Annotated[int, Setting(whole_number(1, 64), "Processes of one gateway, all behind its port.")] = 1
    metrics_port: Annotated[
        int,
        Setting(
            whole_number(0, 65535 - 64),
            "Port of a worker's metrics and health pages. For a gateway with several processes, the port of the first "
            "one; each further process has the next port. 0 takes free ports.",
        ),
    ] = 9464
    connect_timeout: Annotated[
        int,
        Setting(duration(10**5, 5 * MINUTE), "How long a process retries to reach the servers it needs at its start."),
    ] = 10 * 10**6

    def __post_init__(self) -> None:
        errors = list(self._mistakes())
        if errors:
            raise Misconfigured(errors)

    def _mistakes(self) -> Iterator[str]:
        # Combinations of settings that are valid one by one.
        if self.kafka_min_insync > self.kafka_replication:
            yield (
                f"TALLYHOUSE_KAFKA_MIN_INSYNC is {self.kafka_min_insync}, but TALLYHOUSE_KAFKA_REPLICATION only "
                f"{self.kafka_replication}: nothing could ever be written. Lower the one or raise the other."
            )
        yield from self._mistaken_shards()
        if self.kafka_sasl and not (self.kafka_user and self.kafka_password):
            yield "TALLYHOUSE_KAFKA_SASL is set: TALLYHOUSE_KAFKA_USER and TALLYHOUSE_KAFKA_PASSWORD must be set too"

    def _mistaken_shards(self) -> Iterator[str]:
        shards = len(self.clickhouse_url)
        if len(set(self.clickhouse_url)) < shards:
            yield "TALLYHOUSE_CLICKHOUSE_URL names an address twice: name each shard once"
        if shards > 1 and self.clickhouse_cluster is None:
            yield (
                f"TALLYHOUSE_CLICKHOUSE_URL names {shards} shards, but TALLYHOUSE_CLICKHOUSE_CLUSTER is not set: they "
                "are read as one through the cluster that has them in the servers' remote_servers. Name it."
            )
        if shards > self.partitions:
            yield (
                f"TALLYHOUSE_CLICKHOUSE_URL names {shards} shards, but TALLYHOUSE_PARTITIONS is {self.partitions}: a "
                "shard holds whole partitions, so some would stay empty. Have more partitions, or fewer shards."
            )
