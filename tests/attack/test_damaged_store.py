"""A cut file of the usage store: the next start counts exactly, or says that the store is not complete."""

import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.server_process import ServerProcess, wait_until

pytestmark = pytest.mark.long

EVENTS = 3_000
SEED = 20261130
AT = datetime.now(UTC).isoformat()


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a few flushes, and nothing left to count."""
    data = tmp_path_factory.mktemp("intact") / "data"
    with ServerProcess(data, flush_frames="1") as server:
        server.make_meter("calls")
        for start in range(0, EVENTS, EVENTS // 2):
            post(server, range(start, start + EVENTS // 2))
            server.wait_until_counted()
        assert server.stop() == 0
    return data


def post(server: ServerProcess, numbers: range) -> int:
    events = [
        {"event_name": "api.request", "customer_id": "acme", "timestamp": AT, "idempotency_key": f"key_{number}"}
        for number in numbers
    ]
    accepted: int = server.post("/v1/events/ingest", {"events": events})["accepted"]
    return accepted


def part_files(data: Path) -> Iterator[Path]:
    """The files of the parts of all tables."""
    for path in sorted((data / "store").rglob("*")):
        if path.is_file() and (path.parent / "checksums.txt").exists() and path.stat().st_size > 10:
            yield path


@pytest.mark.parametrize("case", range(24))
def test_a_cut_file_is_counted_around_or_told(intact: Path, tmp_path: Path, case: int) -> None:
    """Each case cuts the end off one file of one part."""
    data = tmp_path / "data"
    shutil.copytree(intact, data, symlinks=True)
    draw = random.Random(SEED + case)
    cut = draw.choice(list(part_files(data)))
    size = cut.stat().st_size
    with cut.open("r+b") as file:
        file.truncate(size - draw.choice([1, 10, size // 2, size]))
    with ServerProcess(data).launched() as server:
        if not is_ready(server):
            output = server.output()
            assert "usage store" in output or "DB::Exception" in output, f"{cut.relative_to(data)}: {output[-2000:]}"
            return
        post(server, range(EVENTS))
        wait_until("all frames to be counted", lambda: counted(server))
        assert server.total("calls") == EVENTS, cut.relative_to(data)


def is_ready(server: ServerProcess) -> bool:
    """Waits for one of the two outcomes of a start. False for an alarm, or an end."""
    answers: list[int] = []

    def decided() -> bool:
        if server.has_ended:
            return True
        with suppress(httpx.TransportError):
            answer = server.client.get("/readyz")
            answers.append(answer.status_code)
            return answer.status_code == 200 or "stopped: " in server.client.get("/v1/status").text
        return False

    wait_until("the server to be ready, or an alarm", decided)
    return not server.has_ended and answers[-1] == 200


def counted(server: ServerProcess) -> bool:
    partitions = server.get("/v1/status")["status"]["partitions"]
    return all(partition["lag_frames"] == 0 for partition in partitions)
