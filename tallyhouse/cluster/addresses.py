"""Where the other servers of a cluster are, as their adapters want to be told."""

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from stream_processors.backends.log.kafka.cluster import KafkaCluster
from stream_processors.backends.sql.clickhouse_http import ServerAddress
from tallyhouse.runtime.cluster_settings import ClusterSettings


def brokers_of(settings: ClusterSettings) -> KafkaCluster:
    return KafkaCluster(
        servers=",".join(settings.kafka_brokers),
        tls=settings.kafka_tls,
        ca_file=None if settings.kafka_ca_file is None else str(settings.kafka_ca_file),
        sasl_mechanism=settings.kafka_sasl,
        user=settings.kafka_user,
        password=settings.kafka_password,
    )


def shards_of(settings: ClusterSettings) -> Sequence[ServerAddress]:
    """The usage store's, in the order of the shards."""
    return [_server(urlsplit(url), settings) for url in settings.clickhouse_url]


def _server(url: SplitResult, settings: ClusterSettings) -> ServerAddress:
    encrypted = url.scheme == "https"
    return ServerAddress(
        host=url.hostname or "",
        port=url.port or (8443 if encrypted else 8123),
        user=settings.clickhouse_user,
        password=settings.clickhouse_password or "",
        encrypted=encrypted,
    )
