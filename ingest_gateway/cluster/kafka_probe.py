"""Asks a Kafka node whether it serves, in the two packets that takes: no client library, no retries, no waiting."""

import socket
import struct

METADATA, VERSION, CORRELATION = 3, 1, 7
NO_CLIENT_ID, NO_TOPICS = -1, 0


def serves(host: str, port: int, seconds: float = 1) -> bool:
    """Whether the node answers a metadata request with at least one broker that takes part."""
    body = struct.pack(">hhihi", METADATA, VERSION, CORRELATION, NO_CLIENT_ID, NO_TOPICS)
    try:
        with socket.create_connection((host, port), seconds) as connection, connection.makefile("rb") as answer:
            connection.sendall(struct.pack(">i", len(body)) + body)
            _size, correlation, brokers = struct.unpack(">iii", answer.read(12))
    except (OSError, struct.error):
        return False
    return bool(correlation == CORRELATION and brokers > 0)
