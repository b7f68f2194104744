"""Address and credentials of a Kafka cluster, and what its errors mean."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.helpers import create_ssl_context

from schemas.errors import LogFailed

CLIENT_ERRORS = (KafkaError, OSError, TimeoutError)
"""What the clients raise when brokers are unreachable, slow or refuse a request."""


class KafkaCluster(msgspec.Struct, frozen=True, kw_only=True):
    """Address of the brokers, and the credentials for them."""

    servers: str
    """One or more brokers, as `host:port,host:port`."""
    client_id: str = "tallyhouse"
    tls: bool = False
    ca_file: str | None = None
    """Certificate authorities to trust; None means those of the machine."""
    sasl_mechanism: str | None = None
    """`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; None means no authentication."""
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Cluster(servers={self.servers!r}, client_id={self.client_id!r}, tls={self.tls}, user={self.user!r})"

    def arguments(self, call_seconds: float) -> dict[str, Any]:
        """The arguments every client takes."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "client_id": self.client_id,
            "request_timeout_ms": int(call_seconds * 1000),
            "retry_backoff_ms": 50,
            "security_protocol": ("SASL_" if self.sasl_mechanism else "") + ("SSL" if self.tls else "PLAINTEXT"),
            "ssl_context": self._ssl_context() if self.tls else None,
        }
        if self.sasl_mechanism:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return arguments

    def _ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = create_ssl_context(cafile=self.ca_file)
        return context


@contextmanager
def translate_errors(cluster: KafkaCluster, topic: str) -> Iterator[None]:
    """Raises the clients' errors as LogFailed: the outcome of the request is unknown, and it may be retried."""
    try:
        yield
    except CLIENT_ERRORS as error:
        raise LogFailed(describe_error(error, cluster, topic)) from error


def describe_error(error: BaseException, cluster: KafkaCluster, topic: str) -> str:
    """What is wrong, where, and how to fix it, for people."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    match error:
        case UnknownTopicOrPartitionError():
            remedy = "the topic, or a partition of it, does not exist: `tallyhouse topics check` reports which"
        case TopicAuthorizationFailedError():
            remedy = f"user {cluster.user!r} must be allowed to describe, read and write this topic"
        case MessageSizeTooLargeError() | RecordListTooLargeError():
            remedy = "the topic takes only smaller frames than ours: `tallyhouse topics check` shows how to mend it"
        case _:
            remedy = (
                "is a broker up there and reachable from here, has every partition a leader, and are as many replicas "
                "in sync as min.insync.replicas demands?"
            )
    return f"topic {topic!r} at {cluster.servers} cannot be used ({reason}): {remedy}"
