"""A real Kafka broker on this machine: one node, no containers, for `make cluster` and for tests."""

import base64
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random, SystemRandom
from types import TracebackType
from typing import Self

from ingest_gateway.cluster.kafka_jars import Runtime, Tell, kafka_runtime
from ingest_gateway.cluster.kafka_node import HOST, Node, free_ports
from ingest_gateway.cluster.kafka_probe import cluster_at
from ingest_gateway.cluster.kept_program import KeptProgram, ProgramFailed

ATTEMPTS = 5
START_SECONDS = 90
POLL_SECONDS = 0.05
PORT_TAKEN = "Address already in use"


def local_broker(folder: Path, environ: Mapping[str, str], tell: Tell, *, port: int | None = None) -> "KafkaBroker":
    """A broker run by the installed Java from the cached jars; at a free port unless one is given."""
    return KafkaBroker(folder, kafka_runtime(environ, tell), SystemRandom(), port=port)


class KafkaBroker:
    """The broker of one folder: its data, its log and, from the first start on, its port.

    Entered, it is started, or shared with the processes that have it open already. It ends with the last of them,
    even if that is killed.
    """

    def __init__(self, folder: Path, runtime: Runtime, chance: Random, *, port: int | None = None) -> None:
        self._node = Node(folder, runtime)
        self._program = KeptProgram(folder)
        self._chance = chance
        self._port = port

    def __enter__(self) -> Self:
        self._program.open()
        try:
            self.start()
        except BaseException:
            self._program.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._program.close()

    @property
    def bootstrap(self) -> str:
        """The address clients are given."""
        return f"{HOST}:{self._node.ports.clients}"

    @property
    def log(self) -> Path:
        """What the broker has said, in all its starts."""
        return self._program.log

    @property
    def pid(self) -> int | None:
        """The Java process, while there is one."""
        pids = self._program.pids()
        return None if pids is None else pids.program

    def start(self) -> None:
        """See the broker running and serving; it may be already."""
        with self._program.alone():
            if self._program.pids():
                return
            if self._node.cluster is None:
                self._first_start()
            else:
                self._start()

    def stop(self) -> None:
        """End it cleanly, whoever else has it open."""
        self._program.end()

    def kill(self) -> None:
        """End it as a crash would."""
        self._program.kill()

    def restart(self) -> None:
        """Have it running anew, on the same data and port; after `kill` too."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Let it neither answer nor hang up, as a network that went silent; returns when it is."""
        self._program.signal(signal.SIGSTOP)
        # A signal takes its time to reach every thread.
        while self._serves():
            time.sleep(POLL_SECONDS)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._program.signal(signal.SIGCONT)

    def _first_start(self) -> None:
        self._node.configure(free_ports(self._chance, self._port))
        self._format()
        for _attempt in range(ATTEMPTS - 1):
            try:
                return self._start()
            except ProgramFailed as failed:
                # A port that was free a moment ago may be taken by now.
                if PORT_TAKEN not in str(failed) or self._port is not None:
                    raise
                self._node.configure(free_ports(self._chance, None))
        return self._start()

    def _format(self) -> None:
        command = self._node.format_command(_uuid(self._chance))
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own words
        if done.returncode:
            raise ProgramFailed(f"the broker's storage could not be formatted: {done.stdout}{done.stderr}")

    def _start(self) -> None:
        told_before = self.log.stat().st_size if self.log.exists() else 0
        self._program.start(self._node.run_command())
        deadline = time.monotonic() + START_SECONDS
        while not self._serves():
            if self._program.pids() is None:
                raise ProgramFailed(f"the broker ended while it started: {self._trouble(told_before)}")
            if time.monotonic() > deadline:
                self._program.kill()
                raise ProgramFailed(f"the broker does not answer after {START_SECONDS} s: {self._trouble(told_before)}")
            time.sleep(POLL_SECONDS)

    def _serves(self) -> bool:
        """By its own id, for at a taken port the broker of somebody else may answer."""
        return cluster_at(HOST, self._node.ports.clients) == self._node.cluster

    def _trouble(self, told_before: int) -> str:
        """What it has complained of since it was started."""
        told = self.log.read_bytes()[told_before:].decode(errors="replace").splitlines()
        trouble = [line for line in told if PORT_TAKEN in line or " ERROR " in line or " FATAL " in line] or told
        return "\n".join([*trouble[-10:], f"(all of it: {self.log})"])


def _uuid(chance: Random) -> str:
    """As Kafka writes them; not with a dash in front, which its tools would take for an option."""
    return "T" + base64.urlsafe_b64encode(chance.randbytes(16)).decode()[1:22]
