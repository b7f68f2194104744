"""A backlog never stops counting, whatever its meters and rejects make of it, and memory stays bounded."""

from pathlib import Path

import httpx
import pytest

from tests.attack.backlog import Backlog, count_backlog, post_backlog
from tests.server_process import KEY, ServerProcess, free_port

MOST_MEMORY = 1_500_000_000
SHORT = 2_500
"""Events of a backlog that is counted before a test can kill its worker."""


@pytest.mark.parametrize(
    "backlog",
    [
        pytest.param(Backlog(events=2_000, customers=500, counts=12, sums=2), id="many pieces"),
        pytest.param(
            Backlog(events=300_000, customers=10_000, counts=10), id="ten meters on a long wait", marks=pytest.mark.long
        ),
        pytest.param(
            Backlog(events=3_000, customers=3_000, counts=1_000), id="a thousand meters", marks=pytest.mark.long
        ),
        pytest.param(
            Backlog(events=150_000, customers=150_000, sums=8), id="eight renamed properties", marks=pytest.mark.long
        ),
    ],
)
def test_a_backlog_is_counted_exactly_in_bounded_memory(tmp_path: Path, backlog: Backlog) -> None:
    """In several pieces for each flush, and over a kill if it is long."""
    data = tmp_path / "data"
    post_backlog(data, backlog)
    if backlog.events > SHORT:
        with ServerProcess(data, flush_rows="20000") as server:
            server.kill()
    port, rows_of_a_piece = free_port(), "100000" if backlog.events > SHORT else "1000"
    with ServerProcess(data, clickhouse_port=str(port), flush_rows=rows_of_a_piece) as server:
        counted = count_backlog(server)
        assert counted.peak_memory < MOST_MEMORY
        assert rows(port, "SELECT meter, sum(count) FROM usage WHERE meter != '' GROUP BY meter") == {
            f"count_{number}": backlog.events for number in range(backlog.counts)
        }
        assert rows(port, "SELECT meter, count() FROM rejects GROUP BY meter") == {
            f"sum_{number}": backlog.events for number in range(backlog.sums)
        }


def rows(port: int, statement: str) -> dict[str, int]:
    """The result of a statement with two columns, over the port for ClickHouse clients."""
    answer = httpx.post(f"http://127.0.0.1:{port}/", content=statement, auth=("default", KEY), timeout=120)
    assert answer.status_code == 200, answer.text
    return {meter: int(count) for meter, count in (line.split("\t") for line in answer.text.splitlines())}
