"""A Kafka broker of one node on this machine, without containers, and the probe that checks whether it serves."""

import base64
import socket
import struct
import subprocess
from pathlib import Path
from random import Random
from typing import BinaryIO

from tallyhouse.local.background_program import BackgroundProgram, ProgramFailed
from tallyhouse.local.kafka_jars import KafkaInstallation
from tallyhouse.local.kafka_node import HOST, KafkaNode, free_ports
from tallyhouse.local.local_server import LocalServer

METADATA, VERSION, CORRELATION = 3, 2, 7
NO_CLIENT_ID, NO_TOPICS = -1, 0


def probe_cluster_id(host: str, port: int, seconds: float = 1) -> str | None:
    """The cluster id of the broker that serves at this address; None if there is no such broker."""
    body = struct.pack(">hhihi", METADATA, VERSION, CORRELATION, NO_CLIENT_ID, NO_TOPICS)
    try:
        with socket.create_connection((host, port), seconds) as connection, connection.makefile("rb") as answer:
            connection.sendall(struct.pack(">i", len(body)) + body)
            return _cluster_id(answer)
    except (OSError, struct.error):
        return None


def _cluster_id(answer: BinaryIO) -> str | None:
    # Size, correlation id, brokers (id, host, port, rack), cluster id.
    _size, _correlation, brokers = struct.unpack(">iii", answer.read(12))
    for _broker in range(brokers):
        answer.read(4)
        _text(answer)
        answer.read(4)
        _text(answer)
    cluster = _text(answer)
    return cluster if brokers else None


def _text(answer: BinaryIO) -> str:
    # The length first; −1 for null.
    (length,) = struct.unpack(">h", answer.read(2))
    return answer.read(max(length, 0)).decode()


ATTEMPTS = 5
PORT_TAKEN = "Address already in use"


class KafkaBroker(LocalServer):
    """The broker of one folder, which keeps its data and its port."""

    def __init__(
        self, folder: Path, runtime: KafkaInstallation, rng: Random, *, port: int | None = None, log: Path | None = None
    ) -> None:
        super().__init__("Kafka", BackgroundProgram(folder, log=log))
        self._node = KafkaNode(folder, runtime)
        self._rng = rng
        self._port = port

    @property
    def bootstrap(self) -> str:
        """The bootstrap address for clients."""
        return f"{HOST}:{self._node.ports.clients}"

    def _start_program(self) -> None:
        if self._node.cluster is None:
            self._first_start()
        else:
            self._launch(self._node.run_command())

    def _first_start(self) -> None:
        self._node.configure(free_ports(self._rng, self._port))
        self._format()
        for _attempt in range(ATTEMPTS - 1):
            try:
                return self._launch(self._node.run_command())
            except ProgramFailed as failed:
                # Another process may have taken the port since it was chosen.
                if PORT_TAKEN not in str(failed) or self._port is not None:
                    raise
                self._node.configure(free_ports(self._rng, None))
        return self._launch(self._node.run_command())

    def _format(self) -> None:
        command = self._node.format_command(_uuid(self._rng))
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own arguments
        if done.returncode:
            raise ProgramFailed(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")

    def _is_serving(self) -> bool:
        # Compared by cluster id: another broker may answer at a port that is taken.
        return probe_cluster_id(HOST, self._node.ports.clients) == self._node.cluster

    def _is_error_line(self, line: str) -> bool:
        return PORT_TAKEN in line or " ERROR " in line or " FATAL " in line


def _uuid(rng: Random) -> str:
    # In Kafka's form, and without a leading dash, which its tools would take for an option.
    return "T" + base64.urlsafe_b64encode(rng.randbytes(16)).decode()[1:22]
