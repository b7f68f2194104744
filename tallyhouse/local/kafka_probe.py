"""Asks a Kafka node whether it serves, in the two packets that takes: no client library, no retries, no waiting."""

import socket
import struct
from typing import BinaryIO

METADATA, VERSION, CORRELATION = 3, 2, 7
NO_CLIENT_ID, NO_TOPICS = -1, 0


def probe_cluster_id(host: str, port: int, seconds: float = 1) -> str | None:
    """The id of the cluster whose node answers there and takes part in it; nothing when none does."""
    body = struct.pack(">hhihi", METADATA, VERSION, CORRELATION, NO_CLIENT_ID, NO_TOPICS)
    try:
        with socket.create_connection((host, port), seconds) as connection, connection.makefile("rb") as answer:
            connection.sendall(struct.pack(">i", len(body)) + body)
            return _cluster_id(answer)
    except (OSError, struct.error):
        return None


def _cluster_id(answer: BinaryIO) -> str | None:
    """A size, what we sent to know the answer by, the brokers (id, host, port, rack), and the cluster's id."""
    _size, _correlation, brokers = struct.unpack(">iii", answer.read(12))
    for _broker in range(brokers):
        answer.read(4)
        _text(answer)
        answer.read(4)
        _text(answer)
    cluster = _text(answer)
    return cluster if brokers else None


def _text(answer: BinaryIO) -> str:
    """Its length first; −1 where there is none."""
    (length,) = struct.unpack(">h", answer.read(2))
    return answer.read(max(length, 0)).decode()
