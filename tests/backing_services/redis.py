"""A Redis server for tests, on a socket in a temporary folder, and on a port if one is named."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.skips import skip_without

REMEDY = "apt-get install redis-server"
_PATIENCE = 20.0


class RedisServer:
    """Keeps nothing on disk; it can be killed and restarted."""

    def __init__(self, folder: Path, program: str, port: int) -> None:
        self.socket = folder / "redis.sock"
        self._program = program
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        where = ["--bind", "127.0.0.1", "--port", str(self._port), "--unixsocket", str(self.socket)]
        words = [self._program, *where, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _PATIENCE
        while not self.socket.exists():
            assert time.monotonic() < deadline, "the Redis server does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def redis_server(port: int = 0) -> Iterator[RedisServer]:
    program = shutil.which("redis-server")
    if program is None:
        skip_without("the Redis server", REMEDY)
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    server = RedisServer(folder, program, port)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
